"""A console in a process of its own, without Kafka: how it begins, answers and ends."""

import asyncio
import ssl
from collections.abc import Mapping
from time import time

import httpx
import pytest

from controlplane import console as module
from controlplane.activity.records import write_record, write_zone
from controlplane.console import Console
from controlplane.settings import Settings
from controlplane.start_errors import StartError
from controlplane.state import follower as follower_module
from controlplane.state.client import Identity, StateClient
from controlplane.state.topic import UnusableTopic
from controlplane.zone_service import Unavailable
from proxy.activity_news import ZoneNews
from proxy.audit import Audit
from tests.unit.controlplane.activity.fake_topic import FakeActivityTopic
from tests.unit.controlplane.state.edits import edit
from tests.unit.controlplane.state.fake_topic import FakeTopic, until
from tests.unit.controlplane.state.memory import gateway_record
from tests.unit.controlplane.test_serve import free_port

KEY = "0123456789abcdef"


class World:
    def __init__(self) -> None:
        self.topic = FakeTopic()
        self.client = StateClient(self.topic.it)
        listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{listen}"
        sections: Mapping[str, object] = {
            "cluster": {"bootstrap.servers": f"127.0.0.1:{free_port()}"},
            "console": {"listen": listen, "api_key": KEY},
        }
        self.activity = FakeActivityTopic()
        self.console = Console(Settings.model_validate(sections), self.client, self.activity.it, Audit(None))
        self.stopping = asyncio.Event()

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as http:
            return await http.get(self.url + path)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0)
    return World()


async def test_a_topic_that_can_not_hold_the_state_ends_it_with_the_reason(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.topic.start_errors = [UnusableTopic("it has 2 partitions")]
    with pytest.raises(StartError, match="it has 2 partitions"):
        async with asyncio.timeout(10), world.console.alone(world.stopping):
            await world.stopping.wait()
    assert not [record for record in caplog.records if record.exc_info]


async def test_it_answers_from_the_topic_and_tells_of_the_cluster(world: World) -> None:
    record = edit("a", 1)
    world.topic.append(record.key, record.value())
    async with asyncio.timeout(20), world.console.alone(world.stopping):
        await until(lambda: world.client.follower.problem == "")
        assert (await world.get("/health/ready")).status_code == httpx.codes.OK
        await until(lambda: world.console.service.zone("a").status == "FAILED")
        reason = world.console.service.zone("a").failed_reason
        assert reason is not None
        assert reason.startswith("cluster 'partner1' is out of reach: 127.0.0.1:")
        world.stopping.set()
        world.topic.append(b"other/key", b"{}")


async def test_topics_of_a_cluster_that_is_out_of_reach(world: World) -> None:
    """Its only one has no id, so that any name means it."""
    assert world.console.service.clusters() == ()
    with pytest.raises(Unavailable, match=r"^cluster 'partner1' is out of reach: 127\.0\.0\.1:"):
        await world.console.service.cluster_topics("partner1")


async def test_it_remembers_what_gateways_tell_of_partners(world: World) -> None:
    news = ZoneNews((5, 1, 0, 0), (2.5, 0.0, 0.0), None, 0, {}, {})
    told = write_record(Identity("g"), time() - 2, time(), [write_zone("a", news)])
    async with asyncio.timeout(20), world.console.alone(world.stopping):
        await until(lambda: world.console.activity.problem == "")
        world.activity.append(told, time())
        await until(lambda: world.console.activity.gateway("g", None).produce > 0)
        assert world.console.activity.zone("a").rates.produce == 2.5
        world.stopping.set()


async def test_records_of_gateways_that_are_gone_are_removed_although_nobody_edits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIDY_SECONDS", 0.01)
    world.topic.append(gateway_record(1).key, gateway_record(1).value())
    now = 0.0
    world.client.liveness._clock = lambda: now
    async with asyncio.timeout(10), world.console.alone(world.stopping):
        await until(lambda: bool(world.client.log.gateways))
        now = 4000.0
        await until(lambda: not world.client.log.gateways)


async def test_rotated_certificates_are_used(world: World) -> None:
    context = ssl.create_default_context()
    world.console.use_cluster_tls("", context)
    assert world.console._clusters[""].upstream.context is context
