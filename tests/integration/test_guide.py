"""The guide to partner zones, line by line, in a shell: once with our command line, once with the original vendor's.

The console runs first and alone, so that the zone is PENDING for as long as it takes to look; then the gateway.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.canary import Canaries
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.control_plane import API_KEY, ConsoleNode, Node
from tests.integration.world import Account, World
from tests.kafka.distribution import distribution
from tests.kafka.waiting import wait_until
from tests.vendor_client import MissingClient, find_vendor_client

pytestmark = pytest.mark.kafka

MANIFEST = """\
apiVersion: v2
kind: PartnerZone
metadata:
  name: {zone}
spec:
  cluster: partner1
  displayName: External Partner Zone
  url: https://partner1.com
  serviceAccount: {account}
  topics:
    - name: topic-a
      backingTopic: {topic}
      permission: WRITE
    - name: topic-b
      backingTopic: {topic}
      permission: READ
  partner:
    name: John Doe
    role: Data analyst
    email: johndoe@company.io
    phone: 07827 837 177
"""

COMMAND_SECONDS = 60.0
NOTICE_SECONDS = 20.0


class Guide:
    """A console, a gateway that isn't started yet, and a shell with the guide's commands."""

    def __init__(self, world: World, canaries: Canaries, folder: Path) -> None:
        state_topic = f"_zonegate-{uuid.uuid4().hex[:8]}"
        self.console = ConsoleNode(world.kafka, canaries, state_topic)
        self.gateway = Node(world.kafka, canaries, state_topic)
        self.topic = world.topic().backing
        self.folder = folder
        (folder / "bin").mkdir()
        tool = distribution().tool_command("kafka-topics", [])
        self._program("kafka-topics", "exec " + " ".join(f"'{part}'" for part in tool) + ' "$@"')

    def _program(self, name: str, line: str) -> None:
        script = self.folder / "bin" / name
        script.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        script.chmod(0o755)

    def use(self, client: str) -> None:
        """What `conduktor` is."""
        if client == "zonegate":
            program = Path(sys.executable).with_name("zonegate")
        else:
            try:
                program = find_vendor_client().path
            except MissingClient as error:
                pytest.skip(str(error))
        self._program("conduktor", f"exec '{program}' \"$@\"")

    def shell(self, line: str, **variables: str) -> str:
        """What a line prints, which must succeed."""
        ran = self.fails(line, **variables)
        assert ran.returncode == 0, f"$ {line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def fails(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.folder),
            "CDK_BASE_URL": self.console.api.url,
            "CDK_API_KEY": API_KEY,
            **variables,
        }
        command = ["bash", "-euo", "pipefail", "-c", line]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def guide(world: World, canaries: Canaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    guide = Guide(world, canaries, tmp_path_factory.mktemp("guide"))
    with guide.console:
        try:
            yield guide
        finally:
            guide.gateway.__exit__(None, None, None)


@pytest.mark.parametrize("client", ["zonegate", "vendor"])
def test_the_guide(guide: Guide, client: str) -> None:
    guide.use(client)
    zone, account = f"{client}-partner-zone", f"{client}-doe"
    guide.write("pz.yaml", MANIFEST.format(zone=zone, account=account, topic=guide.topic))

    # create, and check the status
    assert f"PartnerZone/{zone}: Created" in guide.shell("conduktor apply --dry-run -f pz.yaml")
    assert zone not in guide.shell("conduktor get PartnerZone")
    assert f"PartnerZone/{zone}: Created" in guide.shell("conduktor apply -f pz.yaml")
    if not guide.gateway.gateway.is_running:
        assert _status(guide, zone) == "PENDING"
        guide.gateway.tap.start()
        guide.gateway.gateway.start()
    wait_until(lambda: _status(guide, zone) == "READY", "the zone READY", NOTICE_SECONDS)
    shown = yaml.safe_load(guide.shell(f"conduktor get PartnerZone {zone} -o yaml"))
    assert shown["metadata"].keys() >= {"name", "id", "updatedAt", "status"}
    assert shown["spec"]["serviceAccount"] == account
    assert f'"name": "{zone}"' in guide.shell("conduktor get PartnerZone -o json")

    # a password, and a partner's first look
    password = guide.shell(
        "curl --silent --fail --request POST"
        " --url $CDK_BASE_URL/public/partner-zone/v2/$PARTNER_ZONE_NAME/generate-credentials"
        ' --header "Authorization: Bearer $CDK_API_KEY"',
        PARTNER_ZONE_NAME=zone,
    ).strip('"')
    assert _topics(guide, account, password) == ["topic-a", "topic-b"]
    if client == "vendor":
        second = guide.shell(f"conduktor run partnerZoneGenerateCredentials --partner-zone-name {zone}").strip()
        assert _seen(guide, zone, account, second) == {"topic-a", "topic-b"}

    # edit
    edited = MANIFEST.format(zone=zone, account=account, topic=guide.topic).replace("topic-b", "topic-c")
    guide.write("pz.yaml", edited)
    assert f"PartnerZone/{zone}: Updated" in guide.shell("conduktor apply -f pz.yaml")
    renamed = {"topic-a", "topic-c"}
    wait_until(lambda: _seen(guide, zone, account, password) == renamed, "the renamed topic", NOTICE_SECONDS)

    # delete
    assert f"PartnerZone/{zone}: Deleted" in guide.shell(f"conduktor delete PartnerZone {zone}")
    assert zone not in guide.shell("conduktor get PartnerZone")
    assert guide.fails(f"conduktor get PartnerZone {zone}").returncode != 0
    assert "SaslAuthenticationException" in _list(guide, account, password).stderr


def _status(guide: Guide, zone: str) -> str:
    documents = yaml.safe_load_all(guide.shell("conduktor get PartnerZone -o yaml"))
    (status,) = [each["metadata"]["status"] for each in documents if each and each["metadata"]["name"] == zone]
    return str(status)


def _topics(guide: Guide, account: str, password: str) -> list[str]:
    listed = _list(guide, account, password)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    return listed.stdout.split()


def _seen(guide: Guide, zone: str, account: str, password: str) -> set[str]:
    """The same by another client, which starts faster."""
    return set(Librdkafka(Account(guide.gateway.gateway.bootstrap, zone, account, password)).topics())


def _list(guide: Guide, account: str, password: str) -> subprocess.CompletedProcess[str]:
    guide.write(
        "config.properties",
        "security.protocol=SASL_PLAINTEXT\n"
        "sasl.mechanism=PLAIN\n"
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        f"username={account} password={password};\n",
    )
    bootstrap = guide.gateway.gateway.bootstrap
    return guide.fails(f"kafka-topics --bootstrap-server {bootstrap} --list --command-config config.properties")
