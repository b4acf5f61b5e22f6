"""That what is written is read again, and that nothing else does harm."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.activity.records import (
    RECORD_BYTES,
    BadRecord,
    NewerFormat,
    ZoneTold,
    read_record,
    write_record,
    write_zone,
)
from controlplane.state.client import Identity
from controlplane.zone_activity import ConnectedClient, Rates, RecentRefusal
from proxy.activity import Caller, Count, Refused
from proxy.activity_news import NOTHING, Client, ZoneNews

IDENTITY = Identity("gateway-1", 2, "host", "1", "2026-11-21T10:00:00Z")
CALLER = Caller("appé", "librdkafka 2.6", "johndoe", "10.0.0.1")
REFUSED = Refused("produce", "WRITE", "topic", "orders", "topic_authorization_failed", "johndoe", "10.0.0.1")
NEWS = ZoneNews(
    (10, 1, 20, 2),
    (5.0, 10.0, 6.0),
    [Client(CALLER, 1000.5, 3)],
    3,
    {REFUSED: Count(1001.0, 4)},
    {"orders": [CALLER]},
)
TOLD = ZoneTold(
    (10, 1, 20, 2),
    Rates(5.0, 10.0, 6.0),
    [ConnectedClient(*CALLER, "gateway-1", 1000.5, 3)],
    3,
    [RecentRefusal(1001.0, *REFUSED, 4)],
    {"orders": [("appé", "johndoe", "10.0.0.1")]},
)
QUIET = ZoneNews(NOTHING, (0.0, 0.0, 0.0), None, 0, {}, {})


def record(**fields: Any) -> bytes:
    usual = {"format": 1, "gateway": "g", "worker": None, "started": "s", "from": 1.0, "to": 2.0, "zones": {}}
    return json.dumps({**usual, **fields}).encode()


def test_what_is_written_is_read() -> None:
    told = read_record(write_record(IDENTITY, 998.0, 1000.0, [write_zone("a", NEWS), write_zone("b", QUIET)]))
    assert (told.gateway, told.worker, told.started) == ("gateway-1", 2, IDENTITY.started)
    assert (told.since, told.until, told.ends) == (998.0, 1000.0, False)
    assert told.zones == {"a": TOLD, "b": ZoneTold()}
    assert read_record(write_record(IDENTITY, 1.0, 1.0, (), ends=True)).ends


def test_what_is_nothing_is_left_out() -> None:
    assert write_zone("b", QUIET) == b'"b":{}'


def test_a_lone_surrogate_is_written_as_something_else() -> None:
    news = ZoneNews(NOTHING, (0.0, 0.0, 0.0), None, 0, {}, {"a\ud800": [CALLER]})
    assert list(read_record(write_record(IDENTITY, 1.0, 2.0, [write_zone("a", news)])).zones["a"].uses) == ["a?"]


def test_the_most_that_one_zone_can_tell_fits_what_brokers_take() -> None:
    long = Caller("\N{REPLACEMENT CHARACTER}" * 100, "s" * 100, "u" * 255, "a" * 45)
    refused = {REFUSED._replace(resource=f"{number:249}"): Count(1.0, 1) for number in range(50)}
    news = ZoneNews(
        (1, 1, 1, 1), (1.0, 1.0, 1.0), [Client(long, 1.0, 1)] * 200, 200, refused, {"a" * 249: [long] * 200}
    )
    assert len(write_zone("z", news)) + RECORD_BYTES < 900_000


def test_newer_formats_are_told_apart() -> None:
    with pytest.raises(NewerFormat):
        read_record(record(format=2, zones="of another kind"))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        record(format="1"),
        record(gateway=7),
        record(worker=1.5),
        record(to=float("nan")),
        record(to=float("inf")),
        record(to=-1),
        record(to=True),
        record(to=1 << 80),
        record(zones=[]),
        record(zones={"a": []}),
        record(zones={"a": {"produced": [1]}}),
        record(zones={"a": {"produced": [1, -2]}}),
        record(zones={"a": {"rates": [1, 2, 3, 4]}}),
        record(zones={"a": {"clients": [["x"]]}}),
        record(zones={"a": {"clients": {"x": 1}}}),
        record(zones={"a": {"refusals": [[1.0, "Produce"]]}}),
        record(zones={"a": {"uses": {"orders": [["a", "b"]]}}}),
        record(zones={"a": {"uses": {"orders": 5}}}),
    ],
)
def test_what_is_none_of_ours_is_refused(value: bytes) -> None:
    with pytest.raises(BadRecord):
        read_record(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["format", "gateway", "worker", "started", "from", "to", "zones", "ends"]), JSON),
    st.dictionaries(
        st.sampled_from(["produced", "consumed", "rates", "connections", "clients", "refusals", "uses"]), JSON
    ),
)
def test_whatever_json_is_read_or_refused(fields: dict[str, Any], zone: dict[str, Any]) -> None:
    for value in (record(**fields), record(zones={"a": zone})):
        with contextlib.suppress(BadRecord, NewerFormat):
            read_record(value)


def test_texts_and_lists_are_bounded() -> None:
    client = ["\x1b[31m" + "x" * 1000, "", "u", "a", 1.0, 1]
    zone = read_record(record(zones={"a": {"clients": [client] * 1000, "uses": {"o": [["c", "u", "a"]] * 1000}}}))
    assert zone.zones["a"].clients is not None
    assert (len(zone.zones["a"].clients), len(zone.zones["a"].uses["o"])) == (200, 20)
    shown = zone.zones["a"].clients[0].client_id
    assert len(shown) == 255
    assert shown.isprintable()
