"""How the Kafka client's consumers and producers are ended."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import KafkaConnectionError, KafkaError

from controlplane.state.topic import no_stray_cancellation, stop
from tests.unit.controlplane.state.fake_topic import until


async def test_a_consumer_whose_broker_is_gone_is_stopped_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's own `stop` lets out the cancellation of the pause after a failed fetch, and leaves the rest open."""
    partition = TopicPartition("_zonegate", 0)
    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1", auto_offset_reset="none")
    asked, closed = [], []

    async def send(_node: int, _request: object) -> None:
        asked.append(1)
        raise KafkaConnectionError("no broker")

    async def close() -> None:
        closed.append(1)

    monkeypatch.setattr(consumer._client, "send", send)
    monkeypatch.setattr(consumer._client, "close", close)
    monkeypatch.setattr(consumer._client.cluster, "leader_for_partition", lambda _partition: 1)
    consumer._fetcher = Fetcher(consumer._client, consumer._subscription, retry_backoff_ms=600_000)
    consumer.assign([partition])
    consumer.seek(partition, 1)
    await until(lambda: bool(asked))
    await stop(consumer)
    assert closed


async def test_a_cancellation_of_ours_goes_on() -> None:
    async def waiting() -> None:
        with no_stray_cancellation():
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_any_other_is_an_error() -> None:
    with pytest.raises(KafkaError, match="a task of the Kafka client was cancelled"), no_stray_cancellation():
        raise asyncio.CancelledError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            with no_stray_cancellation():
                await asyncio.Event().wait()
