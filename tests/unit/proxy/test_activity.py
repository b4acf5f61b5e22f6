"""What is noted of partners' connections, in dialogues, and the news that come of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from policies.zone import Alias, Permission, Zone
from protocol.error_codes import ErrorCode
from protocol.schema import Message, request_struct, response_struct
from proxy.activity import MAX_REFUSALS, Caller, Count, Refused, shown, shown_bytes
from proxy.activity_news import CLIENTS_SECONDS, USE_SECONDS, ActivityCollector, Client, ZoneNews
from proxy.resources import topic
from tests.unit.proxy.playbook import API_VERSIONS, BEGINNING, ZONE, Dialogue, Playbook
from tests.unit.proxy.test_produce import asked, batch, stored

PRODUCE, FETCH, OFFSET_COMMIT = 0, 1, 8
ADDRESS = "client"
APP = Caller("app", "", "johndoe", ADDRESS)


class World:
    def __init__(self, playbook: Playbook) -> None:
        self.playbook = playbook
        services = playbook.services
        self.collector = ActivityCollector(
            services.activity, services.sessions, playbook.registry, playbook.loop.time, self._clock
        )
        services.activity._clock = self._clock
        self.collector.begin()

    def _clock(self) -> float:
        return BEGINNING + self.playbook.loop.time()

    def news(self, seconds: float = 2.0) -> Mapping[str, ZoneNews]:
        """Of these seconds, which pass."""
        self.playbook.loop.advance(seconds)
        since, until, news = self.collector.collect()
        assert until - since == pytest.approx(seconds)
        return dict(news)

    def of_partner(self, seconds: float = 2.0) -> ZoneNews:
        (news,) = self.news(seconds).values()
        return news


@pytest.fixture
def world() -> Iterator[World]:
    with Playbook() as playbook:
        yield World(playbook)


def produces(dialogue: Dialogue, alias: str = "orders", version: int = 9) -> None:
    dialogue.client_sends(PRODUCE, version, batch(version, {alias: [0]}))
    got = dialogue.broker_gets()
    dialogue.broker_answers(got, stored(got))
    dialogue.client_receives()


def fetch(alias: str, **partition: Any) -> Message:
    struct = request_struct(FETCH, 12)
    topics = struct.nested("topics")
    asked = topics.nested("partitions").fit(partition=0, fetch_offset=0, partition_max_bytes=1000, **partition)
    return struct.fit(
        max_wait=0, max_bytes=1000, session_epoch=-1, rack_id="", topics=[topics.fit(topic=alias, partitions=[asked])]
    )


def test_nothing_is_noted_before_somebody_tells_of_it() -> None:
    with Playbook() as playbook:
        dialogue = playbook.signed_in()
        produces(dialogue)
        playbook.services.activity.refused("partner", "u", "a", 0, ErrorCode.INVALID_REQUEST, topic("x"), 1)
        assert playbook.services.activity.take() == {}


def test_who_comes_and_goes(world: World) -> None:
    assert world.news() == {}
    one = world.playbook.signed_in()
    opened = one.session.opened
    news = world.of_partner()
    assert (news.clients, news.connections) == ([Client(APP, BEGINNING + opened, 1)], 1)
    assert world.news() == {}
    world.playbook.signed_in()
    news = world.of_partner()
    assert (news.clients, news.connections) == ([Client(APP, BEGINNING + opened, 2)], 2)
    one.client.hang_up()
    assert one.ended
    assert world.of_partner().connections == 1
    assert world.news(CLIENTS_SECONDS - 1) == {}
    assert world.of_partner(1).connections == 1, "they are told again"


def test_a_zone_without_clients_is_told_once(world: World) -> None:
    dialogue = world.playbook.signed_in()
    world.news()
    dialogue.client.hang_up()
    assert dialogue.ended
    news = world.of_partner()
    assert (news.clients, news.connections) == ([], 0)
    assert world.news() == {}
    assert world.news(1000) == {}
    assert not world.collector._books


def test_news_that_nobody_took_come_next_time(world: World) -> None:
    dialogue = world.playbook.signed_in()
    world.playbook.signed_in()
    produces(dialogue)
    world.playbook.loop.advance(2)
    world.collector.collect()
    dialogue.client.hang_up()
    assert dialogue.ended
    produces(world.playbook.signed_in())
    news = world.of_partner()
    assert (news.counts[0], news.connections) == (4, 2)
    assert world.of_partner().clients is None


def test_what_a_client_calls_itself(world: World) -> None:
    dialogue = world.playbook.connects()
    names = {"client_software_name": "librdkafka", "client_software_version": "2.6.1"}
    dialogue.client_sends(API_VERSIONS, 3, client_id="till\x00-7" + "x" * 200, **names)
    dialogue.client_receives()
    dialogue.signs_in()
    ((caller, _, _),) = world.of_partner().clients or ()
    assert caller == Caller("till\N{REPLACEMENT CHARACTER}-7" + "x" * 93, "librdkafka 2.6.1", "johndoe", ADDRESS)
    dialogue.client_sends(API_VERSIONS, 3, client_software_name="other", client_software_version="1")
    dialogue.client_receives()
    ((caller, _, _),) = world.of_partner().clients or ()
    assert caller.software == "other 1", "said later, as with certificates"


def test_a_name_that_is_no_text_is_shown_all_the_same() -> None:
    assert shown_bytes(b"\xff\xfea") == "\N{REPLACEMENT CHARACTER}" * 2 + "a"
    assert shown_bytes(None) == ""
    assert shown("\x1b[31m\ud800 ok", 6) == "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("version", [9, 13])
def test_what_is_produced(version: int, world: World) -> None:
    dialogue = world.playbook.signed_in()
    world.news()
    key: Any = world.playbook.alias_id("orders") if version == 13 else "orders"
    produces(dialogue, key, version)
    produces(dialogue, key, version)
    world.playbook.metrics.alias("partner", "orders").produce_records += 2
    news = world.of_partner()
    assert news.counts == (4, 2, 0, 0)
    assert news.uses == {"orders": [APP]}
    assert news.clients is None
    assert news.rates[0] == pytest.approx(1.0), "over the four seconds since the beginning"
    assert [world.of_partner().rates[0] for _ in range(4)] == pytest.approx([4 / 6, 4 / 8, 4 / 10, 4 / 10])
    assert world.news() == {}, "that was ten seconds ago"
    produces(dialogue, key, version)
    assert world.of_partner().uses == {}, "told a moment ago"
    produces(dialogue, key, version)
    assert world.of_partner(USE_SECONDS).uses == {"orders": [APP]}


def test_what_is_fetched_though_the_answer_comes_later(world: World) -> None:
    dialogue = world.playbook.signed_in()
    world.news()
    dialogue.client_sends(FETCH, 12, fetch("stock"))
    got = dialogue.broker_gets()
    assert world.of_partner().uses == {"stock": [APP]}
    struct = response_struct(FETCH, 12)
    topics = struct.nested("responses")
    partition = topics.nested("partitions").fit(partition_index=0, records=b"12345")
    dialogue.broker_answers(got, struct.fit(responses=[topics.fit(topic="kafka-stock", partitions=[partition])]))
    assert world.of_partner().counts == (0, 0, 5, 0)


def test_what_is_half_refused_goes_the_other_way_and_counts_too(world: World) -> None:
    dialogue = world.playbook.signed_in()
    world.news()
    dialogue.client_sends(PRODUCE, 9, batch(9, {"orders": [0], "stock": [1], "nothing": [1]}))
    got = dialogue.broker_gets()
    assert list(asked(got)) == ["kafka-orders"]
    dialogue.broker_answers(got, stored(got))
    news = world.of_partner()
    assert (news.counts[0], list(news.uses)) == (2, ["orders"])
    count = Count(BEGINNING + world.playbook.loop.time() - 2, 1)
    refused = Refused("produce", "WRITE", "topic", "stock", "topic_authorization_failed", "johndoe", ADDRESS)
    assert news.refusals == {refused: count, refused._replace(resource="nothing"): count}


def test_refusals_are_counted_and_bounded(world: World) -> None:
    notes = world.playbook.services.activity
    for number in range(3 * MAX_REFUSALS):
        notes.refused("partner", "johndoe", ADDRESS, 0, ErrorCode.INVALID_REQUEST, topic(f"made-up-{number % 60}"), 2)
    refusals = world.of_partner().refusals
    assert len(refusals) == MAX_REFUSALS
    assert {count.count for count in refusals.values()} == {4, 6}
    assert world.news() == {}


def test_the_last_that_a_short_connection_did_is_told(world: World) -> None:
    dialogue = world.playbook.signed_in()
    produces(dialogue)
    dialogue.client.hang_up()
    assert dialogue.ended
    news = world.of_partner()
    assert (news.counts[0], news.uses, news.connections) == (2, {"orders": [APP]}, 0)


def test_commits_count_as_the_limit_has_them(world: World) -> None:
    dialogue = world.playbook.signed_in()
    produces(dialogue)
    meter = world.playbook.zone().meter(OFFSET_COMMIT)
    meter.requests += 100
    world.news()
    meter.requests += 3
    produces(dialogue)
    assert world.of_partner().rates[2] == pytest.approx(3 / 4 * 60)


def test_admins_are_nobody_s_business(world: World) -> None:
    notes = world.playbook.services.activity
    notes.clients_changed("passthrough")
    notes.refused("passthrough", "admin", ADDRESS, 0, ErrorCode.INVALID_REQUEST, topic("x"), 1)
    assert world.news() == {}


def test_many_users_of_an_alias_are_told_a_few_at_a_time() -> None:
    aliases = tuple(Alias(f"alias-{number}", f"kafka-{number}", Permission.WRITE) for number in range(3))
    with Playbook((Zone("partner", "cluster", "johndoe", aliases),)) as playbook:
        world = World(playbook)
        for number in range(30):
            dialogue = playbook.connects()
            dialogue.client_sends(API_VERSIONS, 0, client_id=f"app-{number:02}")
            dialogue.signs_in()
            produces(dialogue, "alias-0")
        news = world.of_partner()
        assert len(news.uses["alias-0"]) == 20
        assert (len(news.clients or ()), news.connections) == (30, 30)


def test_zones_that_are_asleep_are_not_looked_at() -> None:
    zones = [ZONE, *(Zone(f"zone-{number}", "cluster", f"user-{number}", ()) for number in range(100))]
    with Playbook(zones) as playbook:
        world = World(playbook)
        playbook.signed_in()
        assert list(world.news()) == ["partner"]
        assert list(world.collector._books) == ["partner"]
        assert list(playbook.registry.zones) == ["partner"], "and none is woken"
