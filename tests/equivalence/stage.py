"""The stage: one cluster with ACLs, on which a user finds topics under plain names, and the gateway in front of it,
whose zones have the same names for other topics.

The gateway's own user may do everything with the backing topics and in the zones' namespace of groups, and nothing with
the plain topics: a name that is passed on as it came is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from tests.canary import Canaries
from tests.equivalence import side as sides
from tests.equivalence.apis import Api
from tests.equivalence.names import (
    CLUSTER_USER,
    CREATED,
    DATA_BROKER,
    FILLED,
    GRANTS,
    MARKER,
    PARTITIONS,
    PRICES,
    SECRET,
    VANISHED,
    WITHHELD,
    ZONE_PREFIX,
    Grants,
    Role,
)
from tests.equivalence.records import filling
from tests.equivalence.side import Operator, Side
from tests.integration.gateway import Gateway, manifest
from tests.integration.world import CLIENT_HOST, contiguous_ports
from tests.kafka import Cluster, open_cluster, wire
from tests.kafka.waiting import wait_until

SECONDS = 60.0

CONFIG = {
    # A cluster on which naming a topic creates none, as for the gateway's clients.
    "auto.create.topics.enable": "false",
    # One coordinator of everything: it need not be looked up for each group.
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
BACKING = {**{name: MARKER + name for name in (*CREATED, VANISHED)}, PRICES: WITHHELD}

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 2, 3, 4, 5
LITERAL, PREFIXED = 3, 4
ALL, READ, WRITE, DELETE, DESCRIBE, DESCRIBE_CONFIGS = 2, 3, 4, 6, 8, 10
DENY, ALLOW = 2, 3
THE_CLUSTER = "kafka-cluster"


@dataclass
class Stage:
    """Both sides."""

    kafka: Side
    gateway: Side
    canaries: Canaries

    def learn(self) -> None:
        for each in (self.kafka, self.gateway):
            each.learn()
        sides.NEWEST.update(
            {api: newest for api, (_, newest) in self.kafka.ranges.items()}
            | {
                api: min(newest, self.kafka.ranges[api][1])
                for api, (_, newest) in self.gateway.ranges.items()
                if api in self.kafka.ranges
            }
        )


@contextmanager
def open_stage() -> Iterator[Stage]:
    user, secret = CLUSTER_USER
    users = {user: secret, **{grants.user: grants.password for grants in GRANTS.values()}}
    with ExitStack() as stack:
        cluster = stack.enter_context(open_cluster(acl=True, users=users, config=CONFIG))
        operator = Operator({broker: cluster.broker_address(broker) for broker in cluster.broker_ids})
        stack.callback(operator.close)
        _create_topics(cluster, operator)
        _find_coordinators(operator)
        _create_acls(operator, cluster.broker_ids)
        gateway = stack.enter_context(_open_gateway(cluster))
        passwords = {role: gateway.new_password(grants.zone) for role, grants in GRANTS.items()}
        gateway.start()
        stage = _both(cluster, operator, gateway, passwords)
        stack.callback(stage.kafka.close)
        stack.callback(stage.gateway.close)
        stage.learn()
        yield stage


def _create_topics(cluster: Cluster, operator: Operator) -> None:
    """All led by one broker, without replicas: nothing moves, and one request can name any of them."""
    names = [*CREATED, SECRET, *(BACKING[name] for name in CREATED)]
    topics = [
        {
            "name": name,
            "num_partitions": -1,
            "replication_factor": -1,
            "assignments": [{"partition_index": p, "broker_ids": [DATA_BROKER]} for p in range(PARTITIONS)],
            # records with fixed, old times stay; and these are settings of the topic's own to be described
            "configs": [
                {"name": "min.insync.replicas", "value": "1"},
                {"name": "retention.ms", "value": "-1"},
            ],
        }
        for name in names
    ]
    told = operator.ask(Api.CREATE_TOPICS, 7, {"topics": topics, "timeout": 30_000})
    assert all(topic.error_code == 0 for topic in told.topics), told
    for broker in cluster.broker_ids:
        wait_until(lambda at=broker: _all_led(cluster.broker_address(at), names), "leaders of all topics", SECONDS)  # type: ignore[misc]
    partitions = [(name, p) for name in names for p in range(PARTITIONS)]
    wait_until(lambda: all(operator.serves(*each) for each in partitions), "leaders at work", SECONDS)
    for name in FILLED:
        for topic in (name, BACKING[name]):
            for partition, batches in enumerate(filling()):
                for batch in batches:
                    data = {"name": topic, "partition_data": [{"index": partition, "records": batch}]}
                    done = operator.ask(Api.PRODUCE, 9, {"acks": -1, "timeout": 30_000, "topic_data": [data]})
                    assert done.responses[0].partition_responses[0].error_code == 0, done


def _all_led(address: wire.Address, names: Sequence[str]) -> bool:
    led = {
        str(topic.name): sum(partition.leader_id >= 0 for partition in topic.partitions)
        for topic in wire.metadata(address).topics
    }
    return all(led.get(name, 0) == PARTITIONS for name in names)


def _find_coordinators(operator: Operator) -> None:
    """And wait until they have what they need: the one of transactions fetches producer ids when it is first asked."""
    for key_type in (0, 1):

        def found(kind: int = key_type) -> bool:
            fields = {"key_type": kind, "coordinator_keys": ["any"]}
            (told,) = operator.ask(Api.FIND_COORDINATOR, 4, fields).coordinators
            operator.coordinators[bool(kind)] = told.node_id
            return bool(told.error_code == 0)

        wait_until(found, "a coordinator", SECONDS)

    def gives_ids() -> bool:
        told = operator.ask(Api.INIT_PRODUCER_ID, 4, {"transactional_id": None}, operator.coordinators[True])
        return bool(told.error_code == 0)

    wait_until(gives_ids, "producer ids", SECONDS)


# ACLs


def _acl(
    user: str, kind: int, name: str, operation: int, pattern: int = LITERAL, effect: int = ALLOW
) -> dict[str, Any]:
    return {
        "resource_type": kind,
        "resource_name": name,
        "resource_pattern_type": pattern,
        "principal": f"User:{user}",
        "host": "*",
        "operation": operation,
        "permission_type": effect,
    }


def _acls_of(grants: Grants) -> Iterator[dict[str, Any]]:
    """What a zone's user may do in effect."""
    user = grants.user
    for topic in (*grants.writable, *grants.readable):
        for operation in (READ, DESCRIBE, DESCRIBE_CONFIGS):
            yield _acl(user, TOPIC, topic, operation)
    for topic in grants.writable:
        yield _acl(user, TOPIC, topic, WRITE)
    # any id, as in a namespace of its own; what others have there is out of sight
    others = [ZONE_PREFIX, *(other.own for other in GRANTS.values() if other is not grants)]
    for operation in (READ, DESCRIBE, DELETE, DESCRIBE_CONFIGS):
        yield _acl(user, GROUP, "*", operation)
    if grants.writable:
        for operation in (WRITE, DESCRIBE):
            yield _acl(user, TRANSACTIONAL_ID, "*", operation)
    for prefix in others:
        yield _acl(user, GROUP, prefix, ALL, PREFIXED, DENY)
        yield _acl(user, TRANSACTIONAL_ID, prefix, ALL, PREFIXED, DENY)


def _acls_of_the_gateway() -> Iterator[dict[str, Any]]:
    user, _ = CLUSTER_USER
    yield _acl(user, TOPIC, MARKER, ALL, PREFIXED)
    yield _acl(user, TOPIC, WITHHELD, ALL)
    yield _acl(user, GROUP, ZONE_PREFIX, ALL, PREFIXED)
    yield _acl(user, TRANSACTIONAL_ID, ZONE_PREFIX, ALL, PREFIXED)
    # it sees every group and the cluster's operations, which must not reach a client
    yield _acl(user, CLUSTER, THE_CLUSTER, DESCRIBE)


def _create_acls(operator: Operator, brokers: Sequence[int]) -> None:
    creations = [acl for grants in GRANTS.values() for acl in _acls_of(grants)] + list(_acls_of_the_gateway())
    told = operator.ask(Api.CREATE_ACLS, 3, {"creations": creations})
    assert all(result.error_code == 0 for result in told.results), told
    everything = {"resource_type_filter": 1, "pattern_type_filter": 1, "operation": 1, "permission_type": 1}

    def known(broker: int) -> bool:
        answer = operator.ask(Api.DESCRIBE_ACLS, 3, everything, broker)
        return sum(len(resource.acls) for resource in answer.resources) == len(creations)

    for broker in brokers:
        wait_until(lambda at=broker: known(at), f"all ACLs on broker {broker}", SECONDS)  # type: ignore[misc]


# the gateway


def _open_gateway(cluster: Cluster) -> Gateway:
    user, secret = CLUSTER_USER
    upstream = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": user,
        "sasl.password": secret,
    }
    ports = contiguous_ports(len(cluster.broker_ids) + 2)
    gateway = Gateway(cluster.sasl_bootstrap, cluster.broker_ids, CLIENT_HOST, CLIENT_HOST, ports, upstream)
    for grants in GRANTS.values():
        rows = [(name, BACKING[name], "WRITE") for name in grants.writable]
        rows += [(name, BACKING[name], "READ") for name in grants.readable]
        gateway.write_zone(manifest(grants.zone, grants.user, rows))
    return gateway


def _both(cluster: Cluster, operator: Operator, gateway: Gateway, passwords: Mapping[Role, str]) -> Stage:
    told = operator.ask(Api.METADATA, 12, {"topics": None})
    ids = {topic.name: topic.topic_id for topic in told.topics}
    by_sasl = dict(zip(cluster.broker_ids, map(_address, cluster.sasl_bootstrap.split(",")), strict=True))
    kafka = Side(
        name="Kafka",
        operator=operator,
        brokers=by_sasl,
        passwords={role: grants.password for role, grants in GRANTS.items()},
        backing={name: name for name in BACKING},
        prefixed=False,
        real_ids=ids,
    )
    canaries = _canaries(told, ids, by_sasl)
    through = Side(
        name="the gateway",
        operator=operator,
        brokers={broker: (CLIENT_HOST, gateway.broker_port(broker)) for broker in cluster.broker_ids},
        passwords=passwords,
        backing=BACKING,
        prefixed=True,
        real_ids=ids,
        canaries=canaries,
    )
    return Stage(kafka, through, canaries)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _canaries(told: Any, ids: Mapping[str, bytes], brokers: Mapping[int, tuple[str, int]]) -> Canaries:
    """What no client of the gateway may see. It asks for WITHHELD by name, which is echoed."""
    canaries = Canaries()
    canaries.add(MARKER, "a backing topic's name")
    canaries.add(told.cluster_id, "the cluster's id")
    for grants in GRANTS.values():
        canaries.add(f"{grants.zone}:{grants.own}", "a group or transactional id as the brokers know it")
    for host, _ in brokers.values():
        if host != CLIENT_HOST:
            canaries.add(host, "a broker's host")
    for name in CREATED:
        canaries.add_id(ids[BACKING[name]], f"the id of {BACKING[name]}")
    return canaries
