"""A Kafka with ACLs that the gateway signs in to: what its user may not do is refused, and the operator is told."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from tests.integration.control_plane import API_KEY, Api
from tests.integration.gateway import Command, Gateway, manifest
from tests.integration.world import CLIENT_HOST, contiguous_ports
from tests.kafka import Cluster, MissingRequirement, open_cluster
from tests.kafka.ports import free_ports

pytestmark = pytest.mark.kafka

USER, SECRET = "gateway-user", "gateway-secret"
ZONE, PARTNER = "acl-zone", "partner"
GRANTED, WITHHELD = "acl-granted", "acl-withheld"
STATE = "_zonegate-acl"
ROWS = [("granted", GRANTED, "WRITE"), ("withheld", WITHHELD, "WRITE")]
SECONDS = 30.0


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    try:
        cluster = open_cluster(acl=True, users={USER: SECRET})
    except MissingRequirement as missing:
        pytest.skip(str(missing))
    with cluster:
        for topic in (GRANTED, WITHHELD):
            cluster.create_topic(topic, partitions=1)
        principal = f"User:{USER}"
        grants = (
            ["--operation", "Read", "--operation", "Write", "--operation", "DescribeConfigs", "--topic", GRANTED],
            ["--operation", "Read", "--group", f"{ZONE}:", "--resource-pattern-type", "prefixed"],
            ["--operation", "Write", "--transactional-id", f"{ZONE}:", "--resource-pattern-type", "prefixed"],
            [*_operations("Create", "Read", "Write", "DescribeConfigs"), "--topic", STATE],
        )
        for grant in grants:
            common = ["--bootstrap-server", cluster.bootstrap, "--add", "--allow-principal", principal]
            done = cluster.run_tool("kafka-acls", [*common, *grant])
            assert done.returncode == 0, done.stderr
        yield cluster


def _operations(*names: str) -> list[str]:
    return [word for name in names for word in ("--operation", name)]


def open_gateway(
    cluster: Cluster, secret: str, command: Command = "files", settings: Mapping[str, object] = MappingProxyType({})
) -> Gateway:
    upstream = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": secret,
    }
    ports = contiguous_ports(5)
    gateway = Gateway(
        cluster.sasl_bootstrap,
        cluster.broker_ids,
        CLIENT_HOST,
        CLIENT_HOST,
        ports,
        upstream,
        settings=settings,
        command=command,
    )
    gateway.write_zone(manifest(ZONE, PARTNER, ROWS))
    return gateway


def client(gateway: Gateway, password: str) -> dict[str, str]:
    return {
        "bootstrap.servers": gateway.bootstrap,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": PARTNER,
        "sasl.password": password,
    }


def produce(settings: dict[str, str], topic: str) -> KafkaError | None:
    outcome: list[KafkaError | None] = []
    producer = Producer(settings)
    producer.produce(topic, b"value", on_delivery=lambda error, _message: outcome.append(error))
    assert producer.flush(SECONDS) == 0
    (error,) = outcome
    return error


def test_the_gateways_user_needs_just_these_acls_and_a_missing_one_is_told(guarded: Cluster) -> None:
    with open_gateway(guarded, SECRET) as gateway:
        settings = client(gateway, gateway.new_password(ZONE))
        gateway.start()
        assert produce(settings, "granted") is None
        for protocol in ("classic", "consumer"):
            group = {"group.id": f"readers-{protocol}", "group.protocol": protocol}
            consumer = Consumer({**settings, **group, "auto.offset.reset": "earliest"})
            consumer.subscribe(["^gran.*"])
            message = consumer.poll(SECONDS)
            assert message is not None
            assert message.error() is None
            consumer.close()
        consumer = Consumer({**settings, "group.id": "readers", "auto.offset.reset": "earliest"})
        consumer.subscribe(["granted"])
        message = consumer.poll(SECONDS)
        assert message is not None
        assert message.error() is None
        producer = Producer({**settings, "transactional.id": "writer"})
        producer.init_transactions(SECONDS)
        producer.begin_transaction()
        producer.produce("granted", b"in a transaction")
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), SECONDS
        )
        producer.commit_transaction(SECONDS)
        message = consumer.poll(SECONDS)
        assert message is not None
        assert message.value() == b"in a transaction"
        consumer.close()

        error = produce(settings, "withheld")
        assert error is not None
        assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
        told = gateway.wait_for_log(lambda entry: entry.get("event") == "broker_refusal", "the broker refused us")
        assert told["zone"] == ZONE
        assert gateway.metric("zonegate_broker_refusals_total", zone=ZONE, error="topic_authorization_failed") > 0
        assert WITHHELD not in str(error)


def test_a_zone_with_a_topic_that_the_gateways_user_may_not_see_says_so(guarded: Cluster) -> None:
    (port,) = free_ports(1, CLIENT_HOST)
    console = {"console": {"listen": f"{CLIENT_HOST}:{port}", "api_key": API_KEY}, "state_topic": STATE}
    api = Api(port)
    with api.http, open_gateway(guarded, SECRET, "serve", console) as gateway:
        gateway.start()
        api.put(manifest(ZONE, PARTNER, ROWS)).raise_for_status()
        assert api.wait_for(ZONE, "FAILED") == (
            f"the gateway's user may not see backing topic {WITHHELD!r} on the cluster: TOPIC_AUTHORIZATION_FAILED"
        )
        api.put(manifest(ZONE, PARTNER, ROWS[:1])).raise_for_status()
        api.wait_for(ZONE, "READY")

        # of the activity topic it may do nothing, which is told, and harms nobody
        for message in ("people can't be told what partners do", "it can't be read what partners do"):
            told = gateway.wait_for_log(lambda entry, text=message: entry["message"] == text, message)  # type: ignore[misc]
            assert told["topic"] == f"{STATE}-activity"
            assert "it needs Create, Read, Write and DescribeConfigs on the topic" in told["problem"]
        assert produce(client(gateway, api.new_password(ZONE)), "granted") is None


def test_a_wrong_secret_for_the_brokers_is_why_it_is_not_ready(guarded: Cluster) -> None:
    with open_gateway(guarded, "wrong") as gateway:
        gateway.launch()
        told = gateway.wait_for_log(lambda entry: entry.get("event") == "upstream", "why upstream is out of reach")
        assert USER in told["problem"]
        assert "wrong" not in gateway.log_text()
        readiness = gateway.readiness()
        assert readiness.status_code == 503
        assert USER in readiness.json()["reason"]
