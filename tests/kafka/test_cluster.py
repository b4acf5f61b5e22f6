"""The harness itself: a cluster starts, survives what tests do to it, and leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka import Cluster, KafkaCluster
from tests.kafka.cluster import KafkaStartError
from tests.kafka.waiting import wait_until
from tests.kafka.watchdog import is_alive
from tests.kafka.wire import TopicNotCreated

pytestmark = pytest.mark.kafka


def test_three_brokers_answer(own_kafka: KafkaCluster) -> None:
    assert own_kafka.broker_addresses() == {node: own_kafka.broker_address(node) for node in (1, 2, 3)}


def test_a_tool_sees_a_created_topic(kafka: Cluster) -> None:
    kafka.create_topic("harness.tool", partitions=2, configs={"retention.ms": "60000"})
    shown = kafka.run_tool(
        "kafka-topics", ["--bootstrap-server", kafka.bootstrap, "--describe", "--topic", "harness.tool"]
    )
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert "PartitionCount: 2\tReplicationFactor: 3" in shown.stdout
    assert "retention.ms=60000" in shown.stdout


def test_a_tool_takes_its_input(kafka: Cluster) -> None:
    kafka.create_topic("harness.input")
    server = ["--bootstrap-server", kafka.bootstrap, "--topic", "harness.input"]
    kafka.run_tool("kafka-console-producer", server, input="one\ntwo\n").check_returncode()
    read = kafka.run_tool("kafka-console-consumer", [*server, "--from-beginning", "--max-messages", "2"])
    assert sorted(read.stdout.split()) == ["one", "two"]


def test_the_reason_for_a_topic_not_created_is_kafkas(kafka: Cluster) -> None:
    with pytest.raises(TopicNotCreated, match="invalid_topic_exception"):
        kafka.create_topic("no such name")


def test_users_are_held_to_the_acls(tmp_path: Path) -> None:
    with KafkaCluster(
        acl=True, users={"ann": "ann-password", "root": "root-password"}, super_users=["root"]
    ) as cluster:
        cluster.create_topic("harness.secret")

        def topics_seen_by(user: str) -> list[str]:
            client = tmp_path / f"{user}.properties"
            client.write_text(
                "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
                "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required"
                f' username="{user}" password="{user}-password";\n'
            )
            server = ["--bootstrap-server", cluster.sasl_bootstrap, "--command-config", str(client)]
            listed = cluster.run_tool("kafka-topics", [*server, "--list"])
            assert listed.returncode == 0, listed.stderr
            return listed.stdout.split()

        assert topics_seen_by("root") == ["harness.secret"]
        assert topics_seen_by("ann") == []
        allow = ["--add", "--allow-principal", "User:ann", "--operation", "Describe", "--topic", "harness.secret"]
        cluster.run_tool("kafka-acls", ["--bootstrap-server", cluster.bootstrap, *allow]).check_returncode()
        assert topics_seen_by("ann") == ["harness.secret"]
        pids, folder = [cluster.broker_pid(node) for node in cluster.broker_ids], cluster.folder
    assert not any(map(is_alive, pids))
    assert not folder.exists()


def test_a_failed_start_shows_the_log_and_leaves_nothing() -> None:
    cluster = KafkaCluster(config={"log.retention.ms": "never"})
    with pytest.raises(KafkaStartError, match=r"log\.retention\.ms"):
        cluster.start()
    assert not cluster.folder.exists()


def test_a_killed_run_leaves_no_broker() -> None:
    run = subprocess.Popen([sys.executable, "-m", "tests.kafka", "start"], stdout=subprocess.PIPE, text=True)
    shown = ""
    assert run.stdout is not None
    with run.stdout as output:
        for line in output:
            shown += line
            if "Bootstrap servers" in line:
                break
        pids = [int(pid) for pid in re.findall(r"is process (\d+)", shown)]
        folder = re.search(r"data are in (\S+)", shown)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert folder is not None, shown
    assert len(pids) == 3
    wait_until(lambda: not any(map(is_alive, pids)), "the end of the killed run's brokers", 15)
    wait_until(lambda: not os.path.exists(folder[1]), "the removal of the killed run's folder", 15)
