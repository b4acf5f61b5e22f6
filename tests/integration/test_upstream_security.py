"""Every way to sign in to the brokers, before a real Kafka whose sessions end after seconds (KIP-368).

The brokers of one listener have a certificate for a name that isn't theirs: there the verification of host names is
what decides.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer

from controlplane.cluster_settings import ClusterSettings
from controlplane.state.topic import StateTopic
from controlplane.state.writer import Write
from proxy.cluster_tls import cluster_context
from tests.integration.gateway import START_SECONDS, Gateway, manifest
from tests.integration.test_state_topic import following
from tests.integration.world import CLIENT_HOST, contiguous_ports
from tests.kafka import KafkaCluster, MissingRequirement, Security, open_cluster
from tests.kafka.settings import host
from tests.kafka.waiting import wait_until
from tests.pki import Authority
from tests.unit.controlplane.state.edits import edit

pytestmark = pytest.mark.kafka

PLAIN_USER, SCRAM_USER, SECRET = "gateway-plain", "gateway-scram", "gateway-secret"
WRONG_SECRET = "not-the-secret"
ZONE, PARTNER, TOPIC = "secured-zone", "partner", "secured-topic"
PORTS_PER_GATEWAY = 5

SESSION_SECONDS = 3.0
LIFETIMES = 3
"""How many sessions each connection outlives."""
RUN_SECONDS = 40.0
WINDOW = 8
LARGE_BYTES = 150_000
"""Above this, requests and responses are streamed."""

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Stage:
    """The cluster, and a gateway for each way to sign in or to fail."""

    gateways: Mapping[str, Gateway]
    password: str


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def secured(pki: Authority) -> Iterator[KafkaCluster]:
    security = Security(
        sasl_ssl_store=pki.issue("brokers", *{host(node) for node in (1, 2, 3)}).both,
        ssl_store=pki.issue("elsewhere", "kafka.example.com").both,
        client_ca=pki.file,
        scram_users={SCRAM_USER: SECRET},
        max_reauth_ms=round(SESSION_SECONDS * 1000),
    )
    try:
        cluster = open_cluster(users={PLAIN_USER: SECRET}, security=security)
    except MissingRequirement as missing:
        pytest.skip(str(missing))
    assert isinstance(cluster, KafkaCluster)
    with cluster:
        yield cluster


def login(mechanism: str, secret: str = SECRET) -> Settings:
    user = PLAIN_USER if mechanism == "PLAIN" else SCRAM_USER
    return {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": secret}


def ways_in(pki: Authority) -> Mapping[str, Settings]:
    own = pki.issue("gateway", "gateway", common_name="gateway", password="of-the-key")
    trust = {"ssl.ca.location": str(pki.file)}
    return {
        "SASL_PLAINTEXT PLAIN": login("PLAIN"),
        "SASL_PLAINTEXT SCRAM-SHA-512": login("SCRAM-SHA-512"),
        "SASL_SSL PLAIN": {**trust, **login("PLAIN")},
        "SASL_SSL SCRAM-SHA-256": {**trust, **login("SCRAM-SHA-256")},
        "SSL with a certificate": {
            **trust,
            "ssl.certificate.location": str(own.certificate),
            "ssl.key.location": str(own.key),
            "ssl.key.password": "of-the-key",
            "ssl.endpoint.identification.algorithm": "none",
        },
    }


def ways_to_fail(pki: Authority, elsewhere: Authority) -> Mapping[str, Settings]:
    ways = ways_in(pki)
    verified = {**ways["SSL with a certificate"], "ssl.endpoint.identification.algorithm": "https"}
    return {
        "SASL_SSL of another authority": {**ways["SASL_SSL PLAIN"], "ssl.ca.location": str(elsewhere.file)},
        "SASL_SSL with a wrong password": {**ways["SASL_SSL PLAIN"], **login("SCRAM-SHA-512", WRONG_SECRET)},
        "SSL of another name": verified,
        "SSL without a certificate": {
            "ssl.ca.location": str(pki.file),
            "ssl.endpoint.identification.algorithm": "none",
        },
    }


@pytest.fixture(scope="module")
def stage(secured: KafkaCluster, pki: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """All gateways start at once; those that can't be ready keep trying."""
    elsewhere = Authority(tmp_path_factory.mktemp("elsewhere"))
    good, bad = ways_in(pki), ways_to_fail(pki, elsewhere)
    for number in range(len(good)):
        secured.create_topic(f"{TOPIC}-{number}", partitions=1)
    ports = contiguous_ports(PORTS_PER_GATEWAY * (len(good) + len(bad)))
    with ExitStack() as stack:
        gateways = {}
        for number, (way, settings) in enumerate({**good, **bad}.items()):
            listener = way.split()[0]
            own_ports = ports[number * PORTS_PER_GATEWAY : (number + 1) * PORTS_PER_GATEWAY]
            upstream = {"security.protocol": listener, **settings}
            bootstrap = secured.bootstrap_of(listener)
            gateway = Gateway(bootstrap, secured.broker_ids, CLIENT_HOST, CLIENT_HOST, own_ports, upstream)
            gateways[way] = stack.enter_context(gateway)
            gateway.write_zone(manifest(ZONE, PARTNER, [("orders", f"{TOPIC}-{number}", "WRITE")]))
        first, *others = gateways.values()
        password = first.new_password(ZONE)
        for gateway in others:
            shutil.copy(first.folder / "credentials.yaml", gateway.folder)
        for gateway in gateways.values():
            gateway.launch()
        for way in good:
            wait_until(gateways[way].is_up, f"a ready gateway: {way}", START_SECONDS)
        yield Stage(gateways, password)
        with ThreadPoolExecutor(len(gateways)) as pool:
            for stopped in [pool.submit(gateway.stop) for gateway in gateways.values()]:
                stopped.result()


def client(gateway: Gateway, password: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": gateway.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": PARTNER,
        "sasl.password": password,
    }


@dataclass
class Traffic:
    """One partner's producer and consumer, until they have outlived some sessions of the brokers."""

    gateway: Gateway
    password: str
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    errors: list[KafkaError] = field(default_factory=list)
    closed: dict[str, float] = field(default_factory=dict)

    def run(self, lifetimes: int) -> None:
        settings = {**client(self.gateway, self.password), "error_cb": self.errors.append}
        producer = Producer(settings)
        consumer = Consumer({**settings, "group.id": "readers", "auto.offset.reset": "earliest"})
        consumer.subscribe(["orders"])
        random = Random(len(self.gateway.bootstrap))  # noqa: S311 - test data
        started = time.monotonic()
        ends = started + lifetimes * SESSION_SECONDS
        while time.monotonic() < ends or len(self.received) < len(self.sent):
            assert time.monotonic() < started + RUN_SECONDS, f"{len(self.sent)} sent, {len(self.received)} received"
            if time.monotonic() < ends and len(self.sent) - len(self.received) < WINDOW:
                self.send(producer, random.randbytes(LARGE_BYTES if len(self.sent) % 5 == 0 else 100))
            for message in consumer.consume(10, 0.05):
                self.take(message)
        self.closed = {
            reason: self.gateway.metric("zonegate_connections_closed_total", reason=reason)
            for reason in ("broker_closed", "broker_login_refused", "broker_protocol_error", "broker_unreachable")
        }
        consumer.close()
        assert producer.flush(RUN_SECONDS) == 0

    def send(self, producer: Producer, value: bytes) -> None:
        self.sent.append(value)
        producer.produce("orders", value, on_delivery=self.delivered)
        producer.poll(0)

    def delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self.errors.append(error)

    def take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self.errors.append(error)
        else:
            self.received.append(message.value() or b"")


def test_every_way_in_outlives_the_brokers_sessions_unnoticed(stage: Stage, pki: Authority) -> None:
    traffics = {way: Traffic(stage.gateways[way], stage.password) for way in ways_in(pki)}
    with ThreadPoolExecutor(len(traffics)) as pool:
        for done in [pool.submit(traffic.run, LIFETIMES) for traffic in traffics.values()]:
            done.result()
    for way, traffic in traffics.items():
        assert traffic.errors == [], way
        assert traffic.received == traffic.sent, way
        assert set(traffic.closed.values()) == {0}, (way, traffic.closed)
        renewed = traffic.gateway.metric("zonegate_upstream_reauthentications_total")
        if way.startswith("SASL"):
            # the producer's, the consumer's and the gateway's own connection
            assert renewed >= 3 * (LIFETIMES - 1), way
        else:
            assert renewed == 0, way
        problems = [entry for entry in traffic.gateway.log() if entry["level"] in ("WARNING", "ERROR")]
        assert problems == [], way
        assert SECRET not in traffic.gateway.log_text()


REASONS = {
    "SASL_SSL of another authority": "the broker's certificate is not accepted: unable to get local issuer certificate",
    "SASL_SSL with a wrong password": f"the broker refused sasl.username '{SCRAM_USER}' (SASL_AUTHENTICATION_FAILED)",
    "SSL of another name": "certificate is not valid for",
    "SSL without a certificate": "alert bad certificate",
}


@pytest.mark.parametrize(("way", "reason"), REASONS.items(), ids=REASONS.keys())
def test_readiness_says_why(stage: Stage, way: str, reason: str) -> None:
    gateway = stage.gateways[way]
    told = gateway.wait_for_log(lambda entry: entry.get("event") == "upstream", "why upstream is out of reach")
    assert reason in told["problem"]
    readiness = gateway.readiness()
    assert readiness.status_code == 503
    assert reason in readiness.json()["reason"]
    assert not any(secret in gateway.log_text() for secret in (SECRET, WRONG_SECRET))


def deliver(producer: Producer) -> list[KafkaError | None]:
    """What became of one record."""
    outcome: list[KafkaError | None] = []
    producer.produce("orders", b"value", on_delivery=lambda error, _message: outcome.append(error))
    producer.flush(RUN_SECONDS)
    return outcome


def test_a_rotated_certificate_is_used_for_new_connections_alone(
    stage: Stage, pki: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gateway = stage.gateways["SSL with a certificate"]
    foreign = Authority(tmp_path_factory.mktemp("foreign"))

    def loaded() -> int:
        return sum(entry.get("event") == "cluster_tls_loaded" for entry in gateway.log())

    def rotate(authority: Authority) -> None:
        before = loaded()
        identity = authority.issue("gateway", "gateway", common_name="gateway", password="of-the-key")
        if authority is not pki:
            for file in (identity.certificate, identity.key):
                shutil.copy(file, pki.file.parent)
        wait_until(lambda: loaded() > before, "the rotated certificate in use", RUN_SECONDS)

    settings = {**client(gateway, stage.password), "message.timeout.ms": 5000}
    connected = Producer(settings)
    assert deliver(connected) == [None]
    rotate(foreign)
    newcomer = Producer(settings)
    assert deliver(connected) == [None]
    newcomer.poll(0)
    told = gateway.wait_for_log(lambda entry: entry.get("reason") == "broker_unreachable", "a broker that refuses us")
    assert "TLS failed: " in told["detail"]
    rotate(pki)
    assert deliver(newcomer) == [None]
    assert deliver(connected) == [None]


async def test_the_state_topic_by_every_way_in(secured: KafkaCluster, pki: Authority) -> None:
    """Written and read over connections that the brokers close when their sessions end."""

    async def keep_writing(way: str, settings: Settings, number: int) -> int:
        listener = way.split()[0]
        cluster = {"bootstrap.servers": secured.bootstrap_of(listener), "security.protocol": listener, **settings}
        config = ClusterSettings.model_validate(cluster).cluster_config()
        context = cluster_context(config)
        async with following(StateTopic(f"_zonegate-{number}", config, lambda: context)) as client:
            ends = time.monotonic() + LIFETIMES * SESSION_SECONDS
            while time.monotonic() < ends:
                record = edit("a", client.log.version("a") + 1)
                assert await client.writer.write(Write(record.key, record.value())) == [True], way
                await asyncio.sleep(0.1)
            return client.log.version("a")

    ways = ways_in(pki).items()
    written = await asyncio.gather(*(keep_writing(way, each, number) for number, (way, each) in enumerate(ways)))
    assert min(written) > 10
