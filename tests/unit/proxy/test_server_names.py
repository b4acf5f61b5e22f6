"""Host names of brokers of several clusters: which patterns tell them apart, against a plain look at all names."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.node import Node
from proxy.server_names import ServerNames, UnknownName, confusable, name_of

HOST = "gw.example.com"


def test_each_broker_of_each_cluster_has_its_name() -> None:
    names = ServerNames("B{id}.{cluster}.{advertised_host}", HOST, ("Payments", "eu-1"))

    assert names.of_broker(Node("Payments", 3)) == "b3.payments.gw.example.com"
    assert names.broker_of("B3.PAYMENTS.gw.example.com.") == Node("Payments", 3)
    assert names.broker_of("b3.eu-1.gw.example.com") == Node("eu-1", 3)
    assert names.broker_of(HOST) is None
    for unknown in ("b3.gw.example.com", "b3.other.gw.example.com", "b03.eu-1.gw.example.com"):
        with pytest.raises(UnknownName):
            names.broker_of(unknown)


@pytest.mark.parametrize(
    ("pattern", "clusters", "both"),
    [
        ("broker{id}.{cluster}.{advertised_host}", ("a", "b", "1", "a1"), None),
        ("broker{id}-{cluster}.{advertised_host}", ("a", "b", "1"), None),
        ("{cluster}.{id}.{advertised_host}", ("a", "a1"), None),
        ("{cluster}-{id}.{advertised_host}", ("a", "a-1"), None),
        ("broker{id}.{advertised_host}", ("a", "b"), ("a", "b")),
        ("b{id}.{cluster}.{advertised_host}", ("c", "a", "A"), ("a", "A")),
        ("{cluster}{id}.{advertised_host}", ("a", "a1"), ("a", "a1")),
        ("{cluster}{id}.{advertised_host}", ("a1", "a"), ("a1", "a")),
        ("b{id}{cluster}.{advertised_host}", ("7x", "x"), ("7x", "x")),
        ("{cluster}{id}{cluster}.{advertised_host}", ("1", "2"), None),
        ("k{id}-{cluster}.x", ("1", "2"), None),
    ],
)
def test_names_that_could_be_confused(pattern: str, clusters: tuple[str, ...], both: tuple[str, str] | None) -> None:
    assert confusable(pattern, HOST, clusters) == both


PARTS = st.text("a1-", max_size=3)


@given(before=PARTS, between=PARTS, behind=PARTS, clusters=st.lists(PARTS.filter(bool), min_size=2, max_size=2))
@pytest.mark.parametrize(
    "order", ["{before}{{id}}{between}{{cluster}}{behind}", "{before}{{cluster}}{between}{{id}}{behind}"]
)
def test_no_pattern_that_is_taken_gives_two_brokers_one_name(
    order: str, before: str, between: str, behind: str, clusters: list[str]
) -> None:
    pattern = order.format(before=before, between=between, behind=behind)
    one, other = ({name_of(pattern, HOST, cluster, str(n)) for n in range(120)} for cluster in clusters)
    if confusable(pattern, HOST, clusters) is None:
        assert not one & other
    for cluster, n in itertools.product(clusters, range(12)):
        if confusable(pattern, HOST, clusters) is None:
            names = ServerNames(pattern, HOST, clusters)
            assert names.broker_of(names.of_broker(Node(cluster, n))) == Node(cluster, n)
