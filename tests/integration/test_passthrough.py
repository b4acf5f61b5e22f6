"""An admin with a token sees the cluster itself through the gateway, as Kafka's own tools show it; partners don't.

No tap stands before this gateway, since its admin may see everything.
"""

import subprocess
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.integration.clients.base import NotAuthenticated
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.gateway import Gateway, manifest
from tests.integration.world import CLIENT_HOST, Account, contiguous_ports
from tests.kafka import Cluster, wire
from tests.kafka.waiting import wait_until

pytestmark = pytest.mark.kafka

ADMIN, PASSWORD = "admin", "a password of the admin"
ZONE, PARTNER, ALIAS = "through-zone", "through-partner", "orders"
SECTION: Mapping[str, object] = {"passthrough": {"username": ADMIN, "password": PASSWORD}}
SECONDS = 30.0


def new_name() -> str:
    return f"through-{uuid.uuid4().hex[:8]}"


@contextmanager
def open_gateway(kafka: Cluster, topic: str, section: Mapping[str, object]) -> Iterator[Gateway]:
    """A gateway with one zone, and with further settings."""
    span = max(kafka.broker_ids) - min(kafka.broker_ids) + 1
    ports = contiguous_ports(1 + span + 1)
    with Gateway(kafka.bootstrap, kafka.broker_ids, CLIENT_HOST, CLIENT_HOST, ports) as gateway:
        configure(gateway, section)
        gateway.write_zone(manifest(ZONE, PARTNER, [(ALIAS, topic, "WRITE")]))
        yield gateway


def configure(gateway: Gateway, section: Mapping[str, object]) -> None:
    file = gateway.folder / "zonegate.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**settings, **section}), encoding="utf-8")


def ask_for_token(gateway: Gateway, lifetime: int, password: str = PASSWORD) -> httpx.Response:
    path = f"/admin/vclusters/v1/vcluster/passthrough/username/{ADMIN}"
    return httpx.post(
        f"http://127.0.0.1:{gateway.admin_port}{path}",
        auth=(ADMIN, password),
        json={"lifeTimeSeconds": lifetime},
        timeout=10,
    )


def admin_of(gateway: Gateway, lifetime: int = 3600) -> Account:
    response = ask_for_token(gateway, lifetime)
    assert response.status_code == 201, response.text
    return Account(gateway.bootstrap, "", ADMIN, response.json()["token"])


@pytest.fixture(scope="module")
def topic(kafka: Cluster) -> str:
    name = new_name()
    kafka.create_topic(name, partitions=2)
    return name


@pytest.fixture(scope="module")
def gateway(kafka: Cluster, topic: str) -> Iterator[Gateway]:
    with open_gateway(kafka, topic, SECTION) as gateway:
        gateway.start()
        yield gateway


@pytest.fixture(scope="module")
def admin(gateway: Gateway) -> Account:
    return admin_of(gateway)


@pytest.fixture(scope="module")
def partner(gateway: Gateway) -> Account:
    return Account(gateway.bootstrap, ZONE, PARTNER, gateway.new_password(ZONE))


class Tools:
    """Kafka's own tools, through the gateway and straight to the brokers, at the same time."""

    def __init__(self, kafka: Cluster, admin: Account, folder: Path) -> None:
        self._kafka = kafka
        self._through = ("--bootstrap-server", admin.bootstrap)
        self._straight = ("--bootstrap-server", kafka.bootstrap)
        self._properties = admin.java_properties(folder)

    def through(self, name: str, *args: str, option: str = "--command-config") -> subprocess.CompletedProcess[str]:
        return self._kafka.run_tool(name, [*self._through, option, self._properties, *args])

    def straight(self, name: str, *args: str) -> subprocess.CompletedProcess[str]:
        return self._kafka.run_tool(name, [*self._straight, *args])

    def both(self, name: str, *args: str) -> tuple[str, str]:
        """What both print, line by line in one order."""
        with ThreadPoolExecutor(2) as pool:
            through, straight = pool.submit(self.through, name, *args), pool.submit(self.straight, name, *args)
        done, expected = through.result(), straight.result()
        assert done.returncode == expected.returncode == 0, done.stderr + expected.stderr
        return tuple("\n".join(sorted(one.stdout.splitlines())) for one in (done, expected))  # type: ignore[return-value]


@pytest.fixture
def tools(kafka: Cluster, admin: Account, tmp_path: Path) -> Tools:
    return Tools(kafka, admin, tmp_path)


def test_topics_are_created_altered_and_described(tools: Tools, kafka: Cluster) -> None:
    name = new_name()
    made = tools.through("kafka-topics", "--create", "--topic", name, "--partitions", "3", "--replication-factor", "2")
    assert (made.returncode, made.stdout.strip()) == (0, f"Created topic {name}."), made.stderr
    wait_until(lambda: all(kafka.leader(name, n) >= 0 for n in range(3)), "leaders of the new topic", SECONDS)
    changed = tools.through(
        "kafka-configs",
        "--alter",
        "--entity-type",
        "topics",
        "--entity-name",
        name,
        "--add-config",
        "retention.ms=4711",
    )
    assert changed.returncode == 0, changed.stderr
    shown, expected = tools.both("kafka-topics", "--describe", "--topic", name)
    assert shown == expected
    assert f"Topic: {name}\t" in shown
    assert "PartitionCount: 3\tReplicationFactor: 2\t" in shown
    assert "retention.ms=4711" in shown


def test_brokers_are_configured_one_by_one(tools: Tools, kafka: Cluster) -> None:
    """Such a request goes to the very broker, at its port of the gateway."""
    broker = str(kafka.broker_ids[-1])
    shown, expected = tools.both(
        "kafka-configs", "--describe", "--all", "--entity-type", "brokers", "--entity-name", broker
    )
    assert shown == expected
    assert f"node.id={broker} " in shown


def test_the_quorum_is_described(tools: Tools) -> None:
    shown, expected = tools.both("kafka-metadata-quorum", "describe", "--status")
    assert [line.split(":")[0] for line in shown.splitlines()] == [line.split(":")[0] for line in expected.splitlines()]
    for field in ("ClusterId", "CurrentVoters"):
        assert line_of(shown, field) == line_of(expected, field)


def line_of(text: str, field: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(field)]
    return line


def test_every_api_of_a_broker_is_offered_in_its_versions(tools: Tools) -> None:
    shown, expected = tools.both("kafka-broker-api-versions")
    offered, own = api_lines(shown), api_lines(expected)
    assert offered <= own
    between = {line.split("(")[0] for line in own - offered}
    assert between <= {
        "AllocateProducerIds",
        "AlterPartition",
        "ApiVersions",
        "AssignReplicasToDirs",
        "BeginQuorumEpoch",
        "BrokerHeartbeat",
        "BrokerRegistration",
        "DeleteShareGroupState",
        "EndQuorumEpoch",
        "Envelope",
        "FetchSnapshot",
        "InitializeShareGroupState",
        "ReadShareGroupState",
        "ReadShareGroupStateSummary",
        "UpdateRaftVoter",
        "Vote",
        "WriteShareGroupState",
    }


def api_lines(text: str) -> set[str]:
    """`Fetch(1): 4 to 18` of every API that is usable."""
    lines = {line.strip().partition(" [")[0] for line in text.splitlines() if "): " in line}
    return {line for line in lines if "UNSUPPORTED" not in line}


def test_groups_of_every_zone_are_seen_and_changed(tools: Tools, partner: Account) -> None:
    group = new_name()
    client = Librdkafka(partner)
    client.produce(ALIAS, ["one", "two", "three"])
    assert len(client.consume([ALIAS], 3, group=group)) == 3
    shown = tools.through("kafka-consumer-groups", "--describe", "--all-groups")
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith(f"{ZONE}:{group} ")]
    assert sum(int(row[3]) for row in rows if row[3].isdigit()) >= 3, shown.stdout
    deleted = tools.through("kafka-consumer-groups", "--delete", "--group", f"{ZONE}:{group}")
    assert deleted.returncode == 0, deleted.stderr


def test_acls_are_the_clusters_own_business(tools: Tools) -> None:
    """This cluster has none, and says so itself; a zone's client is refused by the gateway before."""
    shown = tools.through("kafka-acls", "--list")
    assert "SecurityDisabledException: No Authorizer is configured" in shown.stdout + shown.stderr


def create(account: Account, topic: str) -> None:
    client = AdminClient(Librdkafka(account).config)
    client.create_topics([NewTopic(topic, 2, 3)])[topic].result(SECONDS)


def test_records_pass_in_both_directions_unrenamed(admin: Account, partner: Account, kafka: Cluster) -> None:
    name = new_name()
    create(admin, name)
    wait_until(lambda: all(kafka.leader(name, n) >= 0 for n in range(2)), "leaders of the new topic", SECONDS)
    client = Librdkafka(admin)
    sent = [f"{n:04}" + "x" * 100_000 for n in range(40)]
    client.produce(name, sent[:20], idempotent=True)
    client.produce(name, sent[20:39], acks="0", partition=0)
    client.produce(name, sent[39:], acks="1", compression="zstd", partition=0)
    assert sorted(record.value for record in client.consume([name], 40)) == sent
    group = new_name()
    assert len(client.consume([name], 40, group=group)) == 40
    with client.consumer(group) as consumer:
        committed = consumer.committed([TopicPartition(name, n) for n in range(2)], SECONDS)
    assert sum(max(each.offset, 0) for each in committed) == 40
    Librdkafka(partner).produce(ALIAS, ["from the partner"])


def test_brokers_are_reached_through_the_gateway_and_the_cluster_is_the_real_one(
    admin: Account, gateway: Gateway, kafka: Cluster
) -> None:
    shown = AdminClient(Librdkafka(admin).config).list_topics(timeout=SECONDS)
    told = {broker.id: f"{broker.host}:{broker.port}" for broker in shown.brokers.values()}
    assert told == {broker_id: f"{CLIENT_HOST}:{gateway.broker_port(broker_id)}" for broker_id in kafka.broker_ids}
    real = wire.metadata(kafka.broker_address(kafka.broker_ids[0]))
    assert shown.cluster_id == real.cluster_id
    assert set(shown.topics) == {topic.name for topic in real.topics}


def test_a_partner_beside_it_has_its_own_zone_and_no_more(partner: Account, admin: Account) -> None:
    assert Librdkafka(partner).topics() == {ALIAS: 2}
    with pytest.raises(KafkaException) as caught:
        create(partner, new_name())
    assert caught.value.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"
    token_of_another = Account(partner.bootstrap, ZONE, PARTNER, admin.password)
    with pytest.raises(NotAuthenticated):
        Librdkafka(token_of_another).topics()


def test_what_is_no_valid_token_does_not_sign_in(gateway: Gateway, admin: Account) -> None:
    for wrong in (PASSWORD, admin.password[:-2]):
        with pytest.raises(NotAuthenticated):
            Librdkafka(Account(gateway.bootstrap, "", ADMIN, wrong)).topics()
    short = admin_of(gateway, lifetime=1)

    def has_expired() -> bool:
        try:
            Librdkafka(short).topics()
        except NotAuthenticated:
            return True
        return False

    wait_until(has_expired, "the end of a token's life", SECONDS)
    assert gateway.metric("zonegate_authentication_failures_total", reason="expired_token") > 0
    assert ask_for_token(gateway, 60, "a wrong password").status_code == 401
    log = gateway.log_text()
    issued = gateway.wait_for_log(lambda entry: entry.get("event") == "passthrough_issued", "a token's issue")
    assert (issued["user"], len(issued["id"])) == (ADMIN, 32)
    for secret in (PASSWORD, admin.password, short.password):
        assert secret not in log


def test_another_password_ends_all_tokens_and_without_one_there_are_none(
    kafka: Cluster, topic: str, admin: Account
) -> None:
    with open_gateway(kafka, topic, {}) as gateway:
        gateway.start()
        assert ask_for_token(gateway, 60).status_code == 404
        with pytest.raises(NotAuthenticated):
            Librdkafka(Account(gateway.bootstrap, "", ADMIN, admin.password)).topics()
        gateway.stop()

        configure(gateway, {"passthrough": {"username": ADMIN, "password": "another " + PASSWORD}})
        gateway.start()
        with pytest.raises(NotAuthenticated):
            Librdkafka(Account(gateway.bootstrap, "", ADMIN, admin.password)).topics()
