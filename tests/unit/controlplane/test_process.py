"""What runs beside a process's main work: it ends with that, and never fails unnoticed."""

import asyncio
import logging
from typing import cast

import pytest

from controlplane import supervisor, worker
from controlplane.process import alongside
from controlplane.start_errors import StartError
from controlplane.worker import LastResort
from proxy.audit import Audit
from proxy.mechanisms.passthrough import PassthroughTokens
from proxy.shared_limits import SharedLimits

DEADLINE_SECONDS = 10


class Failing:
    """In the place of whatever is worked with."""

    def derive_key(self) -> None:
        raise RuntimeError("no key")

    def tick(self) -> None:
        raise RuntimeError("no tick")


async def test_it_ends_with_the_main_work(caplog: pytest.LogCaptureFixture) -> None:
    stopping, began, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with asyncio.timeout(DEADLINE_SECONDS), alongside(work(), "work", stopping):
        await began.wait()

    assert cancelled.is_set()
    assert not stopping.is_set()
    assert not caplog.messages


async def test_main_work_that_ends_at_once() -> None:
    async with alongside(asyncio.sleep(DEADLINE_SECONDS), "work", asyncio.Event()):
        pass


async def test_the_main_works_own_error_is_the_one_that_counts() -> None:
    async def work() -> None:
        raise RuntimeError("beside")

    stopping = asyncio.Event()
    with pytest.raises(ValueError, match="main"):
        async with asyncio.timeout(DEADLINE_SECONDS), alongside(work(), "work", stopping):
            await stopping.wait()
            raise ValueError("main")


async def test_what_ends_without_a_word_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    stopping = asyncio.Event()
    with pytest.raises(RuntimeError, match="following has ended"):
        async with asyncio.timeout(DEADLINE_SECONDS), alongside(asyncio.sleep(0), "following", stopping):
            await stopping.wait()
    assert caplog.messages == ["following has failed, and the process stops"]


async def test_what_people_can_set_right_is_no_failure_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise StartError("free it or set another address")

    stopping = asyncio.Event()
    with pytest.raises(StartError, match="free it"):
        async with asyncio.timeout(DEADLINE_SECONDS), alongside(work(), "work", stopping):
            await stopping.wait()
    assert not caplog.messages


async def test_without_the_key_of_admin_tokens_the_supervisor_stops(caplog: pytest.LogCaptureFixture) -> None:
    stopping, failing = asyncio.Event(), Failing()
    keeping = supervisor._keep_audit(cast(Audit, failing), cast(PassthroughTokens, failing))

    with pytest.raises(RuntimeError, match="no key"):
        async with asyncio.timeout(DEADLINE_SECONDS), alongside(keeping, "what admin tokens need", stopping):
            await stopping.wait()

    assert caplog.messages == ["what admin tokens need has failed, and the process stops"]
    assert caplog.records[0].levelno == logging.ERROR


async def test_a_worker_whose_reports_fail_stops(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "REPORT_SECONDS", 0)
    it = worker._Worker(0, cast(LastResort, None))

    with pytest.raises(RuntimeError, match="no tick"):
        async with asyncio.timeout(DEADLINE_SECONDS), it.reporting(cast(SharedLimits, Failing())):
            await it.stopping.wait()

    assert it.stopping.is_set()
    assert caplog.messages == ["reporting what zones need of their limits has failed, and the process stops"]
