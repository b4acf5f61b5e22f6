"""What a gateway tells of its partners, when, and that nothing goes wrong because of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from controlplane.activity import teller as module
from controlplane.activity.records import Told, read_record
from controlplane.activity.teller import Teller
from controlplane.state.client import Identity
from controlplane.state.topic import UnusableTopic
from controlplane.zone_activity import Rates
from proxy.activity_news import NOTHING, ActivityCollector, ZoneNews
from tests.unit.controlplane.activity.fake_topic import FakeActivityTopic
from tests.unit.controlplane.state.fake_topic import until

NO_RATES = (0.0, 0.0, 0.0)
BYTES = ZoneNews((5, 1, 0, 0), NO_RATES, None, 0, {}, {})
WITH_RATES = ZoneNews((5, 1, 0, 0), (2.5, 0.0, 0.0), None, 0, {}, {})
FRESH = ZoneNews(NOTHING, (2.5, 0.0, 0.0), None, 0, {}, {})

News = list[tuple[str, ZoneNews]]


class Collector:
    """In the place of an `ActivityCollector`: what is to be told, time by time."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.asked = 0
        self.began = False
        self.error: Exception | None = None

    def begin(self) -> None:
        self.began = True

    def collect(self) -> tuple[float, float, Iterator[tuple[str, ZoneNews]]]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return 1.0, 3.0, iter(self.news.pop(0) if self.news else [])


class World:
    def __init__(self) -> None:
        self.topic = FakeActivityTopic()
        self.collector = Collector()
        self.teller = Teller(self.topic.it, Identity("g", 1, "host", "1", "now"))
        self.now = 1000.0

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.teller.run(cast(ActivityCollector, self.collector)))
        try:
            yield
            assert not task.done(), "it has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def asked(self, times: int) -> None:
        """Until there was so much news."""
        await until(lambda: self.collector.asked >= times)

    @property
    def told(self) -> list[Told]:
        return [read_record(record.value) for record in self.topic.records]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    for name in ("TELL_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(module, "monotonic", lambda: world.now)
    return world


async def test_it_tells_what_is_new_and_nothing_else(world: World) -> None:
    world.collector.news = [[("a", BYTES)], [], [("b", BYTES), ("a", WITH_RATES)], [("a", FRESH)], [], [], []]
    async with world.telling():
        await world.asked(10)
    assert world.collector.began
    assert [(told.gateway, told.worker, told.since, told.until) for told in world.told] == [("g", 1, 1.0, 3.0)] * 4
    assert [list(told.zones) for told in world.told] == [["a"], ["b", "a"], ["a"], []], "the last: rates are over"
    assert world.told[1].zones["a"].rates == Rates(2.5, 0.0, 0.0)


async def test_it_says_now_and_then_that_it_lives(world: World) -> None:
    async with world.telling():
        await world.asked(5)
        assert len(world.told) == 1, "at the beginning"
        world.now += module.QUIET_SECONDS
        await until(lambda: len(world.told) == 2)
        await world.asked(world.collector.asked + 3)
        assert len(world.told) == 2


async def test_much_is_told_in_several_records(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORD_BYTES", 100)
    zones = [f"zone-{number:03}" for number in range(200)]
    world.collector.news = [[(zone, WITH_RATES) for zone in zones]]
    async with world.telling():
        await world.asked(2)
    told = world.told
    assert [zone for each in told for zone in each.zones] == zones
    assert len(told) > 50
    assert {each.until for each in told} == {3.0}


async def test_it_says_farewell(world: World) -> None:
    async with world.telling():
        await world.asked(2)
    await world.teller.farewell()
    assert [told.ends for told in world.told] == [False, True]
    await world.teller.farewell()
    assert len(world.told) == 2


async def test_one_that_never_began_has_no_farewell(world: World) -> None:
    await world.teller.farewell()
    assert world.told == []


@pytest.mark.parametrize(
    ("breaks", "problem"),
    [
        (
            lambda world: world.topic.start_errors.extend([TopicAuthorizationFailedError()] * 3),
            "Kafka refuses zonegate's user there; it needs Create, Read, Write and DescribeConfigs on the topic",
        ),
        (lambda world: world.topic.start_errors.append(UnusableTopic("it has 2 partitions")), "it has 2 partitions"),
        (
            lambda world: world.topic.send_errors.extend([KafkaConnectionError("gone")] * 3),
            "KafkaConnectionError: gone",
        ),
    ],
)
async def test_what_goes_wrong_is_said_once_and_tried_again(
    breaks: Callable[[World], None], problem: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zonegate.activity")
    breaks(world)
    async with world.telling():
        await until(lambda: bool(world.told))
    warning, again = caplog.records
    assert (warning.levelname, warning.getMessage()) == ("WARNING", "people can't be told what partners do")
    assert warning.__dict__["problem"] == problem
    assert (again.levelname, again.getMessage()) == ("INFO", "people can be told again what partners do")


async def test_an_error_of_our_own_ends_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.collector.error = RuntimeError("a slip")
    async with world.telling():
        await world.asked(5)
        world.collector.error = None
        await until(lambda: bool(world.told))
    (warning,) = [record for record in caplog.records if record.exc_info]
    assert warning.__dict__["problem"] == "RuntimeError: a slip"


async def test_a_stop_does_not_wait_for_a_broker(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAREWELL_SECONDS", 0.01)
    async with world.telling():
        await world.asked(2)

    async def silent(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    producer = world.teller._producer
    assert producer is not None
    monkeypatch.setattr(producer, "send", silent)
    async with asyncio.timeout(5):
        await world.teller.farewell()
    assert [told.ends for told in world.told] == [False]
