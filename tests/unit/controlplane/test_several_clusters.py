"""Several clusters in the settings, and in the manifests that name them: what they become, and what is wrong."""

from pathlib import Path

import pytest

from controlplane.manifests import load_zones
from controlplane.problems import ConfigurationError
from controlplane.settings import load_settings
from proxy.config import ClusterConfig
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_manifests import ZONE
from tests.unit.controlplane.test_settings import errors_of

TWO = "clusters:\n- {id: a, bootstrap.servers: 'a:1'}\n- {id: b, bootstrap.servers: 'b:1'}\n"
TLS = "tls: {certificate: tls.crt, key: tls.key}"
SNI = f"security_protocol: SASL_SSL\n{TLS}\nrouting: sni\nadvertised_host: gw.example.com\n"


@pytest.fixture(autouse=True)
def _files(write: WriteFile) -> None:
    for name in ("tls.crt", "tls.key"):
        write(name, "")


def test_clusters_in_their_order(write: WriteFile) -> None:
    file = write(
        "etc/zonegate.yaml",
        """\
        clusters:
          - id: payments_EU-1
            bootstrap.servers: broker1:9092,broker2:9092
          - id: analytics
            bootstrap.servers: other:9092
            security.protocol: SSL
            ssl.ca.location: ca.pem
        broker_ports: {start: 9100, per_cluster: 10}
        """,
    )

    settings = load_settings(file, {})

    assert settings.gateway_config().clusters == (
        ClusterConfig(id="payments_EU-1", bootstrap_servers=(("broker1", 9092), ("broker2", 9092))),
        ClusterConfig(id="analytics", bootstrap_servers=(("other", 9092),), security_protocol="SSL", ca="etc/ca.pem"),
    )
    assert settings.cluster_ids() == ("payments_EU-1", "analytics")
    assert [at for at, _ in settings.all_clusters()] == [("clusters", 0), ("clusters", 1)]
    (listener,) = settings.gateway_config().listeners
    assert (listener.broker_ports_start, listener.broker_ports_per_cluster) == (9100, 10)


def test_one_cluster_is_as_it_was(write: WriteFile) -> None:
    settings = load_settings(write("zonegate.yaml", "cluster: {bootstrap.servers: 'a:1'}\n"), {})
    ((at, cluster),) = settings.all_clusters()
    assert (at, cluster.id, settings.cluster_ids()) == (("cluster",), None, None), "zones may name anything"
    assert settings.gateway_config().clusters == (ClusterConfig(bootstrap_servers=(("a", 1),)),)


def test_a_list_of_one_has_its_id(write: WriteFile) -> None:
    settings = load_settings(write("zonegate.yaml", "clusters: [{id: a, bootstrap.servers: 'a:1'}]\n"), {})
    assert settings.cluster_ids() == ("a",)


RULES = {
    "one and several": (
        "cluster: {bootstrap.servers: 'a:1'}\n" + TWO,
        ["2: clusters: cannot stand beside cluster; keep one of the two"],
    ),
    "none": ("clusters: []", ["1: clusters: needs at least one entry"]),
    "no id": (
        "clusters: [{bootstrap.servers: 'a:1'}]",
        ["1: clusters[0].id: is missing; add it, for example 'id: partner1'"],
    ),
    "an id that is no id": (
        "clusters: [{id: a.b, bootstrap.servers: 'a:1'}]",
        ["1: clusters[0].id: 'a.b' is not a cluster's id; use 1 to 63 of a-z, A-Z, 0-9, '_' and '-'"],
    ),
    "an id that is too long": (
        f"clusters: [{{id: {'a' * 64}, bootstrap.servers: 'a:1'}}]",
        [f"1: clusters[0].id: '{'a' * 64}' is not a cluster's id; use 1 to 63 of a-z, A-Z, 0-9, '_' and '-'"],
    ),
    "an id used twice": (
        TWO.replace("id: b", "id: a"),
        ["3: clusters[1].id: 'a' is that of clusters[0] already; use another"],
    ),
    "no servers": (
        "clusters:\n- {id: a}",
        [
            "2: clusters[0].bootstrap.servers: is missing; add it, "
            "for example 'bootstrap.servers: broker1:9092,broker2:9092'"
        ],
    ),
    "a rule of one of them": (
        TWO + "- {id: c, bootstrap.servers: 'c:1', security.protocol: SASL_PLAINTEXT, sasl.username: gate}",
        [
            "4: clusters[2].sasl.password: is missing; SASL_PLAINTEXT needs sasl.username and sasl.password, "
            "or sasl.jaas.config"
        ],
    ),
    "a secret in the wrong form": (
        "clusters:\n- {id: a, bootstrap.servers: 'a:1', sasl.password: 123456}",
        ["2: clusters[0].sasl.password: the value does not fit; write text here, in quotes if it looks like a number"],
    ),
    "no room for the brokers": (
        TWO + "broker_ports: {per_cluster: 0}",
        ["4: broker_ports.per_cluster: 0 is too small; use 1 or more"],
    ),
    "ports beyond the last": (
        TWO + "broker_ports: {start: 60000, per_cluster: 6000}",
        [
            "4: broker_ports.per_cluster: leaves no ports for the last of 2 clusters, whose first would be 66000; "
            "use less"
        ],
    ),
    "the next clusters ports at another listener": (
        TWO + "listen: 0.0.0.0:9195",
        ["1: broker_ports.per_cluster: port 9195 is that of listen already; use another"],
    ),
    "the next clusters ports at the admins": (
        TWO + "broker_ports: {per_cluster: 5}\nadmin_listen: 0.0.0.0:9100",
        ["5: admin_listen: port 9100 is that of broker_ports.per_cluster already; use another"],
    ),
    "names without the cluster": (
        TWO + SNI,
        [
            "1: sni.pattern: 'broker{id}-{advertised_host}' needs {cluster}, since there are several clusters; "
            "write one such as 'broker{id}.{cluster}.{advertised_host}'"
        ],
    ),
    "the name of a cluster without one": (
        "cluster: {bootstrap.servers: 'a:1'}\n" + SNI + "sni: {pattern: '{id}.{cluster}.x'}",
        ["6: sni.pattern: '{id}.{cluster}.x' holds {cluster}, and the cluster has no id; set cluster.id"],
    ),
    "a cluster that makes no host names": (
        TWO.replace("id: b", "id: b-") + SNI + "sni: {pattern: '{id}.{cluster}.x'}",
        [
            "8: sni.pattern: '{id}.{cluster}.x' makes no host names with "
            "advertised_host 'gw.example.com' and cluster 'b-'"
        ],
    ),
    "names that could be confused": (
        TWO.replace("id: b", "id: a1") + SNI + "sni: {pattern: '{cluster}{id}.x'}",
        [
            "8: sni.pattern: '{cluster}{id}.x' makes the same name for brokers of clusters 'a' and 'a1'; "
            "set {cluster} apart from {id} by a dot, or choose other ids"
        ],
    ),
    "names that differ in their case": (
        TWO.replace("id: b", "id: A") + SNI + "sni: {pattern: '{cluster}.{id}.x'}",
        [
            "8: sni.pattern: '{cluster}.{id}.x' makes the same name for brokers of clusters 'a' and 'A'; "
            "set {cluster} apart from {id} by a dot, or choose other ids"
        ],
    ),
    "a broker with the name to bootstrap": (
        TWO + SNI.replace("gw.example.com", "b.7.x") + "sni: {pattern: '{cluster}.{id}.x'}",
        ["8: sni.pattern: '{cluster}.{id}.x' makes advertised_host 'b.7.x' a broker's name; it must differ from all"],
    ),
}


@pytest.mark.parametrize(("text", "errors"), RULES.values(), ids=RULES.keys())
def test_a_rule(write: WriteFile, text: str, errors: list[str]) -> None:
    assert errors_of(write("zonegate.yaml", text + "\n")) == [f"zonegate.yaml:{error}" for error in errors]


def test_a_variable_of_the_only_cluster_beside_several(write: WriteFile) -> None:
    environment = {"ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS": "a:1"}
    assert errors_of(write("zonegate.yaml", TWO), environment) == [
        "zonegate.yaml:1: clusters: cannot stand beside cluster; keep one of the two"
    ]


def test_neither_is_the_only_cluster_without_its_servers(write: WriteFile) -> None:
    for text in ("log: {}\n", "cluster:\n", "clusters:\ncluster:\n"):
        (error,) = errors_of(write("zonegate.yaml", text))
        assert error.partition("cluster.")[2].startswith("bootstrap.servers: is missing; add it")


@pytest.mark.parametrize(
    "text",
    [
        TWO + SNI + "sni: {pattern: 'broker{id}.{cluster}.{advertised_host}'}",
        "cluster: {id: a, bootstrap.servers: 'a:1'}\n" + SNI + "sni: {pattern: '{id}.{cluster}.x'}",
        "clusters: [{id: a, bootstrap.servers: 'a:1'}]\n" + SNI,
        "cluster: {bootstrap.servers: 'a:1'}\nbroker_ports: {start: 65535, per_cluster: 65535}",
    ],
)
def test_what_is_legal(write: WriteFile, text: str) -> None:
    assert load_settings(write("zonegate.yaml", text + "\n"), {}).gateway_config().listeners


# manifests


def zones_error(*ids: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_zones(Path("zones"), ids)
    return str(caught.value)


def test_zones_name_one_of_the_clusters(write: WriteFile) -> None:
    write("zones/a.yaml", ZONE)

    assert len(load_zones(Path("zones"), ("other", "partner1"))) == 1
    assert zones_error("east", "west") == (
        "zones/a.yaml:6: spec.cluster: 'partner1' is not configured; the configured clusters are 'east', 'west'"
    )
    assert zones_error("east", "Partner-1") == (
        "zones/a.yaml:6: spec.cluster: 'partner1' is not configured; the configured clusters are "
        "'east', 'Partner-1'; did you mean 'Partner-1'?"
    )
