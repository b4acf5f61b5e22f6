"""Partners' clients over every kind of listener: through every broker, by port and by host name; and new certificates
under load.
"""

import asyncio
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from confluent_kafka import KafkaError, Message, Producer

from tests.canary import Canaries
from tests.integration.clients import kcat
from tests.integration.clients.aiokafka_client import Aiokafka
from tests.integration.clients.kafka_python import KafkaPython
from tests.integration.clients.kcat import Kcat
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.tls_front import TlsFront
from tests.integration.world import Account, new_group
from tests.kafka import Cluster
from tests.kafka.waiting import wait_until
from tests.pki import Authority

pytestmark = pytest.mark.kafka

RECORDS = 60
NOTICE_SECONDS = 20.0
ROTATIONS = 5
STEP = 100
"""Records that each consumer has read before the next certificate comes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix: a client at a listener, with a mechanism."""

    client: str
    listener: str
    mechanism: str = "PLAIN"

    @property
    def topic(self) -> str:
        return f"tls-{self.client}-{self.listener}-{self.mechanism}".lower()


CELLS = [
    Cell("java", "plaintext"),
    Cell("java", "ports"),
    Cell("java", "sni-java"),
    Cell("librdkafka", "ports"),
    Cell("librdkafka", "sni-native"),
    Cell("aiokafka", "ports"),
    Cell("aiokafka", "sni-native"),
    Cell("kafka-python", "ports"),
    Cell("kcat", "ports"),
    Cell("kcat", "sni-native"),
    Cell("java", "ports", "SCRAM-SHA-512"),
    Cell("librdkafka", "ports", "SCRAM-SHA-512"),
    Cell("aiokafka", "sni-native", "SCRAM-SHA-512"),
    Cell("java", "sni-java", "OAUTHBEARER"),
    Cell("librdkafka", "sni-native", "OAUTHBEARER"),
    Cell("aiokafka", "ports", "OAUTHBEARER"),
]
ROTATION = "tls-rotation"


@pytest.fixture(scope="module")
def front(kafka: Cluster, canaries: Canaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsFront]:
    folder = tmp_path_factory.mktemp("tls")
    with TlsFront(kafka, canaries, folder, [*(cell.topic for cell in CELLS), ROTATION]) as front:
        yield front


def java(kafka: Cluster, hosts: Path, folder: Path, account: Account, topic: str, values: list[str]) -> list[str]:
    server = ["--bootstrap-server", account.bootstrap, "--command-config", account.java_properties(folder)]

    def tool(name: str, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JDK_JAVA_OPTIONS", f"-Djdk.net.hosts.file={hosts} {account.security.java_options}")
            done = kafka.run_tool(name, [*server, "--topic", topic, *args], input=given)
        assert (done.returncode, "ERROR" in done.stderr) == (0, False), done.stderr
        return done

    keyed = "".join(f"{value}:{value}\n" for value in values)
    tool(
        "kafka-console-producer",
        "--reader-property",
        "parse.key=true",
        "--reader-property",
        "key.separator=:",
        given=keyed,
    )
    limits = ["--max-messages", str(len(values)), "--timeout-ms", "15000"]
    return tool("kafka-console-consumer", "--from-beginning", "--group", new_group(), *limits).stdout.split()


def librdkafka(account: Account, topic: str, values: list[str], partitions: int) -> list[str]:
    client = Librdkafka(account)
    for partition in range(partitions):
        client.produce(topic, values[partition::partitions], partition=partition)
    return [record.value for record in client.consume([topic], len(values), group=new_group())]


def by_library(
    kind: type[Aiokafka] | type[KafkaPython] | type[Kcat], account: Account, topic: str, values: list[str]
) -> list[str]:
    client = kind(account)
    client.produce(topic, values)
    return [record.value for record in client.consume([topic], len(values), group=new_group())]


LIBRARIES: dict[str, type[Aiokafka] | type[KafkaPython] | type[Kcat]] = {
    "aiokafka": Aiokafka,
    "kafka-python": KafkaPython,
    "kcat": Kcat,
}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.client}-{cell.listener}-{cell.mechanism}")
def test_every_client_reaches_every_broker(front: TlsFront, kafka: Cluster, tmp_path: Path, cell: Cell) -> None:
    if cell.client == "kcat" and not kcat.installed():
        pytest.skip("kcat is not installed")
    if cell.listener == "sni-native" and sys.platform != "linux":
        pytest.skip("only Linux listens on all of 127.0.0.0/8 by itself")
    account = front.account(cell.listener, cell.mechanism)
    values = [f"{cell.client}-{n:03}" for n in range(RECORDS)]
    before = len(front.gateway.log())

    if cell.client == "java":
        found = java(kafka, front.hosts, tmp_path, account, cell.topic, values)
    elif cell.client == "librdkafka":
        found = librdkafka(account, cell.topic, values, len(front.brokers))
    else:
        found = by_library(LIBRARIES[cell.client], account, cell.topic, values)

    assert sorted(found) == values
    wait_until(
        lambda: front.brokers_reached(cell.listener, before) == set(front.brokers),
        f"connections to each of the brokers {front.brokers}",
        NOTICE_SECONDS,
    )


class Load:
    """A producer that goes on and on, and consumers that count. What goes wrong is kept."""

    def __init__(self, account: Account) -> None:
        self.errors: list[object] = []
        self.sent = 0
        self.read = {"librdkafka": 0, "aiokafka": 0}
        self._account = account
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._kept, args=(work,), name=work.__name__)
            for work in (self._produce, self._consume, self._consume_with_aiokafka)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def has_gone_on(self) -> None:
        """Returns when everybody has read so many more."""
        before = dict(self.read)
        wait_until(
            lambda: self.errors or all(self.read[name] >= before[name] + STEP for name in before),
            f"{STEP} more records than {before} for each consumer",
            NOTICE_SECONDS,
        )
        assert not self.errors

    def _kept(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails with it
            self.errors.append(error)

    def _produce(self) -> None:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self.errors.append(error)

        config = {**Librdkafka(self._account).config, "enable.idempotence": True, "error_cb": self.errors.append}
        producer = Producer(config)
        while not self._stopping.wait(0.002):
            producer.produce(ROTATION, b"load", on_delivery=delivered)
            self.sent += 1
            producer.poll(0)
        assert producer.flush(NOTICE_SECONDS) == 0, "the producer has not sent everything"

    def _consume(self) -> None:
        with Librdkafka(self._account).consumer(new_group(), error_cb=self.errors.append) as consumer:
            consumer.subscribe([ROTATION])
            while not self._stopping.is_set():
                message = consumer.poll(0.1)
                if message is not None:
                    assert message.error() is None, message.error()
                    self.read["librdkafka"] += 1

    def _consume_with_aiokafka(self) -> None:
        async def consume() -> None:
            async with Aiokafka(self._account).consumer(ROTATION, group_id=new_group()) as consumer:
                while not self._stopping.is_set():
                    batches = await consumer.getmany(timeout_ms=100)
                    self.read["aiokafka"] += sum(map(len, batches.values()))

        asyncio.run(consume())


def test_certificates_are_replaced_under_load(front: TlsFront) -> None:
    """Five times, one of them signed by another authority, and once with a key that does not fit."""
    gateway = front.gateway
    probes = 0

    def shown(authority: Authority) -> bytes:
        nonlocal probes
        probes += 1
        return front.certificate_shown(authority)

    def shows(authority: Authority, certificate: bytes) -> bool:
        try:
            return shown(authority) == certificate
        except ssl.SSLCertVerificationError:
            return False

    def closed() -> float:
        return gateway.metric("zonegate_connections_closed_total")

    with Load(front.account("ports")) as load:
        load.has_gone_on()
        lines, before = len(gateway.log()), closed()
        for turn in range(ROTATIONS):
            authority = front.next_authority if turn == 2 else front.authority
            pair = front.new_pair(authority)
            expected = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
            pair.move_to(front.pair)
            wait_until(partial(shows, authority, expected), "the new certificate", NOTICE_SECONDS)
            load.has_gone_on()
        front.new_pair(front.authority).key.replace(front.pair.key)
        gateway.wait_for_log(
            lambda line: line.get("event") == "kept", "a key that does not fit its certificate", since=lines
        )
        assert shows(front.authority, expected), "the last good pair stays"
        load.has_gone_on()
        ended = [line for line in gateway.log()[lines:] if line.get("event") == "connection_end" and line["zone"]]
        assert not ended, "a client's connection was dropped"
        wait_until(lambda: closed() == before + probes, f"the ends of {probes} probes and no other", NOTICE_SECONDS)

    assert not load.errors
    assert load.sent > STEP
    assert gateway.metric("zonegate_certificate_not_after_seconds", listener="ports") > time.time()
