"""A gateway with limited zones, topics for them on the brokers, and the clients that use them.

No tap stands before this gateway: what clients may see is shown elsewhere, and scanning every byte would take the
machine's time from what is measured here.
"""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from controlplane.credential_file import generate_credential
from tests.canary import Canaries
from tests.integration.gateway import Gateway, manifest
from tests.integration.traffic.case import Case, Report, dump, number, parse, value
from tests.integration.world import CLIENT_HOST, MARKER, Account, contiguous_ports, new_group
from tests.kafka import Cluster, wire
from tests.kafka.distribution import distribution
from tests.kafka.waiting import wait_until

RUN_SECONDS = 150.0
TOPIC_SECONDS = 60.0
FAST = 10_000_000
JAVA = Path(__file__).parent.parent / "java" / "HeldTraffic.java"
LIBRARIES = ("java", "librdkafka", "aiokafka", "kafka-python")
BY_HAND = "by-hand"
MODULES = {"librdkafka": "librdkafka", "aiokafka": "aiokafka_", "kafka-python": "kafka_python", BY_HAND: "by_hand"}

_PREFIX = "rates-"
_ONE_COPY = {"min.insync.replicas": "1"}
"""Nothing here is about brokers that fail, and copies take time."""


class Stage:
    def __init__(self, kafka: Cluster, canaries: Canaries) -> None:
        self.kafka = kafka
        self.canaries = canaries
        span = max(kafka.broker_ids) - min(kafka.broker_ids) + 1
        ports = contiguous_ports(1 + span + 1)
        self.gateway = Gateway(kafka.bootstrap, kafka.broker_ids, CLIENT_HOST, CLIENT_HOST, ports)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gateway.remove()

    def zone(self, name: str, topics: Iterable[str], produce: int | None = None, consume: int | None = None) -> Account:
        """A zone with these limits, for which every topic is writable under its own name without the marker."""
        whole = manifest(name, f"{name}-user", [(alias, backing(alias), "WRITE") for alias in topics])
        limits = {"maxProduceRate": produce, "maxConsumeRate": consume}
        policies = {key: limit for key, limit in limits.items() if limit is not None}
        spec = whole["spec"]
        assert isinstance(spec, dict)
        self.gateway.write_zone({**whole, "spec": {**spec, "trafficControlPolicies": policies}})
        _, password = generate_credential(self.gateway.folder / "credentials.yaml", name)
        return Account(self.gateway.bootstrap, name, f"{name}-user", password)

    def topics(self, partitions: Mapping[str, int]) -> None:
        """All at once, with so many partitions each; returns once all brokers know their leaders."""
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        wanted = [NewTopic(backing(alias), count, 1, config=_ONE_COPY) for alias, count in partitions.items()]
        for future in admin.create_topics(wanted).values():
            future.result(TOPIC_SECONDS)
        leaders = sum(partitions.values())
        for address in self.kafka.broker_addresses().values():
            wait_until(lambda at=address: _led(at) == leaders, "leaders of all topics", TOPIC_SECONDS)  # type: ignore[misc]

    def leader(self, alias: str) -> str:
        """The address here of the leader of a topic's first partition."""
        broker = self.kafka.leader(backing(alias), 0)
        return f"{CLIENT_HOST}:{self.gateway.broker_port(broker)}"

    def fill(self, alias: str, partitions: int, records: int, value_bytes: int) -> None:
        """So many records into each partition, each a batch of its own, numbered from 0."""
        failures: list[str] = []
        # idempotent: what is sent before a leader is ready is sent again, in its order
        producer = Producer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                "batch.num.messages": 1,
                "linger.ms": 0,
                "enable.idempotence": True,
            }
        )

        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                failures.append(str(error))

        for each in range(records):
            data = value(each, value_bytes)
            for partition in range(partitions):
                while True:
                    try:
                        producer.produce(backing(alias), data, partition=partition, on_delivery=delivered)
                        break
                    except BufferError:
                        producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(30) == 0
        assert not failures, failures[:3]

    def held(self, aliases: Mapping[str, int]) -> dict[str, dict[int, list[int]]]:
        """The numbers of the records in each partition of each topic, in their order, asked of the brokers themselves;
        `aliases` are the topics with their partitions."""
        numbers: dict[str, dict[int, list[int]]] = {
            backing(alias): {partition: [] for partition in range(n)} for alias, n in aliases.items()
        }
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka.bootstrap,
                "group.id": new_group(),
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 8_000_000,
            }
        )
        wanted = [TopicPartition(topic, partition, 0) for topic, each in numbers.items() for partition in each]
        consumer.assign(wanted)
        ends = 0
        while ends < len(wanted):
            message = consumer.poll(10)
            assert message is not None, "the brokers do not answer"
            error, data, topic, partition = message.error(), message.value(), message.topic(), message.partition()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, str(error)
                ends += 1
            else:
                assert isinstance(data, bytes) and topic is not None and partition is not None
                numbers[topic][partition].append(number(data))
        consumer.close()
        return {alias: numbers[backing(alias)] for alias in aliases}


def backing(alias: str) -> str:
    return MARKER + _PREFIX + alias


def _led(broker: wire.Address) -> int:
    """How many partitions of these tests' topics have a leader that the broker knows."""
    topics = [each for each in wire.metadata(broker).topics if str(each.name).startswith(MARKER + _PREFIX)]
    return sum(partition.leader_id >= 0 for topic in topics for partition in topic.partitions)


def run(cases: Sequence[Case], folder: Path) -> dict[str, Report]:
    """Run all cases side by side, and give what they report by their names."""
    processes: dict[tuple[str, bool], list[Case]] = defaultdict(list)
    for case in cases:
        # libraries written in Python have one processor for all that they do
        alone = case.rate >= FAST and case.library in ("aiokafka", "kafka-python")
        processes[case.library, alone].append(case)
    reports: dict[str, Report] = {}
    with ExitStack() as stack:
        running = [
            stack.enter_context(_Driver(library, some, folder / f"{library}{'-fast' if alone else ''}"))
            for (library, alone), some in processes.items()
        ]
        for driver in running:
            reports |= {report.name: report for report in driver.reports()}
    return reports


class _Driver:
    """A library's process, and its files."""

    def __init__(self, library: str, cases: Sequence[Case], path: Path) -> None:
        self._library = library
        self._cases = cases
        self._log = path.with_suffix(".log")
        self._shown = path.with_suffix(".json")

    def __enter__(self) -> Self:
        if self._library == "java":
            command = distribution().source_command(JAVA, [])
        else:
            command = [sys.executable, "-m", f"tests.integration.traffic.{MODULES[self._library]}"]
        with self._log.open("w") as log, self._shown.open("w") as shown:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=shown, stderr=log, text=True)
        assert self._process.stdin is not None
        with self._process.stdin as given:
            given.write(dump(self._cases))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def reports(self) -> list[Report]:
        code = self._process.wait(RUN_SECONDS)
        log = self._log.read_text(encoding="utf-8")
        assert code == 0, f"{self._library} ended with {code}: {log[-3000:]}"
        return [parse(line) for line in self._shown.read_text(encoding="utf-8").splitlines()]
