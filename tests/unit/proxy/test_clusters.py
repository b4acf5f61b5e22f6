"""Several Kafka clusters behind one gateway: whose client comes where, and what is known of each."""

from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from policies.zone import Alias, Permission, Zone
from protocol.api_versions import BrokerVersions, ranges_of
from protocol.sasl import build_plain
from protocol.schema import response_struct
from proxy.close import CloseReason
from proxy.config import ClusterConfig
from proxy.mechanisms.passthrough import with_tokens
from proxy.metrics import GatewayMetrics
from proxy.node import Node
from proxy.zones import ZoneRegistry
from tests.unit.proxy.admin import ADMIN, SESSION_NOW, make
from tests.unit.proxy.playbook import BROKER_VERSIONS, CONFIG, NO_FEATURES, PASSWORD, Dialogue, Playbook

EAST, WEST = "east", "west"
CLUSTERS = tuple(ClusterConfig(id=name, bootstrap_servers=((name, 9092),)) for name in (EAST, WEST))
TWO = replace(CONFIG, clusters=CLUSTERS)
ALIASES = (Alias("orders", "kafka-orders", Permission.WRITE),)
EASTERN = Zone("eastern", EAST, "eve", ALIASES)
WESTERN = Zone("western", WEST, "will", ALIASES)
METADATA, API_VERSIONS = 3, 18


def two_clusters() -> Playbook:
    return Playbook((EASTERN, WESTERN), config=TWO)


def broker_of(dialogue: Dialogue) -> str:
    return str(dialogue.broker.get_extra_info("peername")[0])


def metadata(dialogue: Dialogue, nodes: tuple[int, ...] = (1, 2)) -> dict[int, tuple[str, int]]:
    """The brokers that a client is told of, when the cluster tells of these."""
    dialogue.client_sends(METADATA, 12, topics=())
    got = dialogue.broker_gets()
    brokers = response_struct(METADATA, got.version).nested("brokers")
    dialogue.broker_answers(got, brokers=tuple(brokers.new(node_id=n, host="secret", port=1) for n in nodes))
    return {each.node_id: (each.host, each.port) for each in dialogue.client_receives().brokers}


@pytest.mark.parametrize(("username", "cluster"), [("eve", EAST), ("will", WEST)])
def test_on_the_bootstrap_port_a_client_gets_to_its_zones_cluster(username: str, cluster: str) -> None:
    with two_clusters() as playbook:
        dialogue = playbook.signed_in(None, username)
        assert broker_of(dialogue).startswith(cluster)
        first = 9100 if cluster == EAST else 9200
        assert metadata(dialogue) == {1: ("gateway", first + 1), 2: ("gateway", first + 2)}
        assert dialogue.ended == ""


@pytest.mark.parametrize(("username", "cluster"), [("eve", EAST), ("will", WEST)])
def test_a_broker_s_port_is_that_of_its_cluster(username: str, cluster: str) -> None:
    with two_clusters() as playbook:
        assert broker_of(playbook.signed_in(2, username, cluster)) == f"{cluster}-2"


@pytest.mark.parametrize(("username", "cluster"), [("eve", WEST), ("will", EAST)])
def test_a_client_at_another_clusters_port_is_sent_away(username: str, cluster: str) -> None:
    with two_clusters() as playbook:
        dialogue = playbook.connects(2, cluster=cluster)
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        # the next request is here already when the sign-in is accepted
        sign_in = dialogue.request(36, 2, auth_bytes=build_plain(username, PASSWORD))[1]
        dialogue.client_sends_bytes(sign_in + dialogue.request(METADATA, 12, topics=())[1])
        assert dialogue.client_receives().error_code == 0
        dialogue.client_receives_nothing()
        assert dialogue.session.gate not in playbook._broker_sides, "nobody was asked anything"
        line = dialogue.end_line
        assert (line["reason"], line["cluster"], line["broker"]) == ("wrong_cluster", cluster, 2)
        home = EAST if cluster == WEST else WEST
        assert line["detail"] == f"the zone is on cluster {home}, and this is where cluster {cluster} is reached"
        assert playbook.metrics.connections_closed[CloseReason.WRONG_CLUSTER.value] == 1
        (ended,) = (each for each in playbook.audited if each["event"] == "connection")
        assert (ended["reason"], ended["cluster"], ended["zone"]) == (
            "wrong_cluster",
            cluster,
            dialogue.session.zone_name,
        )
        assert sum(playbook.metrics.connections.values()) == 0


def ranges(dialogue: Dialogue) -> dict[int, tuple[int, int]]:
    dialogue.client_sends(API_VERSIONS, 0)
    return ranges_of(dialogue.client_receives())


def test_before_sign_in_clients_are_told_what_all_clusters_have_in_common() -> None:
    with two_clusters() as playbook:
        older = BrokerVersions({**BROKER_VERSIONS, METADATA: (0, 9)}, NO_FEATURES)
        playbook.services.clusters[WEST].versions = {1: older}
        newest = BROKER_VERSIONS[METADATA][1]
        assert ranges(playbook.connects(None))[METADATA][1] == 9
        assert ranges(playbook.connects(1, cluster=EAST))[METADATA][1] == newest
        assert ranges(playbook.connects(1, cluster=WEST))[METADATA][1] == 9
        playbook.services.clusters[WEST].versions = {}
        assert ranges(playbook.connects(None))[METADATA][1] == newest, "of those that are known"


def test_a_broker_that_another_cluster_tells_of_is_looked_for_there() -> None:
    with two_clusters() as playbook:
        clusters = playbook.services.clusters
        metadata(playbook.signed_in(None, "will"), (1, 9))
        assert clusters[WEST]._wake.is_set()
        assert not clusters[EAST]._wake.is_set()


def test_an_admin_sees_the_first_cluster_or_that_of_the_port() -> None:
    tokens = make()
    with Playbook((EASTERN, WESTERN), config=TWO) as playbook:
        playbook.services.mechanisms = with_tokens(playbook.services.mechanisms, tokens)
        seen = []
        for broker_id, cluster in ((None, ""), (1, EAST), (1, WEST)):
            dialogue = playbook.connects(broker_id, cluster=cluster)
            dialogue.signs_in(ADMIN, tokens.issue(3600, SESSION_NOW).token)
            seen.append(broker_of(dialogue).partition("-")[0])
            assert metadata(dialogue)[1] == ("gateway", 9201 if cluster == WEST else 9101)
        assert seen == [EAST, EAST, WEST]


def test_a_zone_that_moves_to_another_cluster_ends_its_sessions_and_has_other_ids() -> None:
    with two_clusters() as playbook:
        before = playbook.zone("eastern")
        assert before.routes_by_id
        assert playbook.apply([replace(EASTERN, cluster=WEST), WESTERN]) == {"eastern"}
        after = playbook.zone("eastern")
        assert playbook.registry.cluster_of("eastern") == WEST
        assert len(after.routes_by_id) == 1, "west's topic of that name is known"
        assert not after.routes_by_id.keys() & before.routes_by_id.keys()
        assert after.cluster_id != before.cluster_id
        assert after.subscriptions is not before.subscriptions


def test_virtual_ids_come_from_the_zones_own_cluster() -> None:
    with two_clusters() as playbook:
        known = playbook.zone("western").routes_by_id.keys()
        playbook.registry.identify(EAST, "another id")
        assert playbook.zone("western").routes_by_id.keys() == known
        assert playbook.zone("eastern").routes_by_id == {}


def test_a_zone_of_a_cluster_that_is_not_configured_is_not_served() -> None:
    with Playbook((EASTERN, replace(WESTERN, cluster="north")), config=TWO) as playbook:
        assert playbook.registry.unserved == {
            "western": "its cluster 'north' is not configured at this gateway; "
            "the configured clusters are 'east', 'west'"
        }
        dialogue = playbook.connects(None)
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(36, 2, auth_bytes=build_plain("will", PASSWORD))
        assert dialogue.ended == "", "answered late, as any other failure"
        playbook.loop.advance(1)
        assert dialogue.client_receives().error_code == 58
        dialogue.expect_end(CloseReason.AUTHENTICATION_FAILED)
        assert playbook.metrics.authentication_failures == {"invalid_credentials": 1}
        assert playbook.apply([EASTERN, WESTERN]) == frozenset()
        assert playbook.registry.unserved == {}
        playbook.signed_in(None, "will")
        assert playbook.apply([EASTERN, replace(WESTERN, cluster="north")]) == {"western"}


def test_one_cluster_with_an_id_says_so_too() -> None:
    registry = ZoneRegistry(GatewayMetrics(), clusters=(EAST,))
    registry.apply([EASTERN, WESTERN], [])
    assert registry.unserved == {
        "western": "its cluster 'west' is not configured at this gateway; the configured cluster is 'east'"
    }


def test_a_cluster_without_an_id_has_all_zones() -> None:
    with Playbook((EASTERN, WESTERN)) as playbook:
        assert playbook.registry.unserved == {}
        assert playbook.apply([EASTERN, replace(WESTERN, cluster="north")]) == frozenset(), "that is but another word"
        dialogue = playbook.signed_in(None, "will")
        assert broker_of(dialogue).startswith("kafka-")
        dialogue.client.hang_up()
        assert "cluster" not in dialogue.end_line


def test_nobody_can_reckon_the_salts_of_accounts_without_passwords_before_the_first_cluster_is_known() -> None:
    one, other = (ZoneRegistry(GatewayMetrics(), clusters=(EAST, WEST)) for _ in range(2))
    one.identify(WEST, "west's own id")
    assert one.decoy_salt("nobody") != other.decoy_salt("nobody")
    for each in (one, other):
        each.identify(EAST, "east's own id")
    assert one.decoy_salt("nobody") == other.decoy_salt("nobody")


def series(metrics: GatewayMetrics) -> list[str]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return [line for line in lines if line.startswith("zonegate_upstream_") and "_created" not in line]


def test_metrics_tell_clusters_apart_where_there_are_several() -> None:
    with Playbook() as single:
        single.metrics.upstream_reachable[""] = True
        assert series(single.metrics) == [
            "zonegate_upstream_reachable 1.0",
            "zonegate_upstream_reauthentications_total 0.0",
        ]
    with two_clusters() as playbook:
        playbook.metrics.upstream_reachable[WEST] = True
        playbook.metrics.upstream_reauthentications[WEST] += 2
        assert series(playbook.metrics) == [
            'zonegate_upstream_reachable{cluster="east"} 0.0',
            'zonegate_upstream_reachable{cluster="west"} 1.0',
            'zonegate_upstream_reauthentications_total{cluster="east"} 0.0',
            'zonegate_upstream_reauthentications_total{cluster="west"} 2.0',
        ]


def test_a_port_leads_to_one_broker() -> None:
    with two_clusters() as playbook:
        ports = [playbook.listener.port_of(Node(cluster, n)) for cluster in (EAST, WEST) for n in (1, 2, 3)]
        assert ports == [9101, 9102, 9103, 9201, 9202, 9203]
