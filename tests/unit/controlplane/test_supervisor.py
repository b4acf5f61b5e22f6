"""The supervisor's decisions, with workers that the test plays in its own event loop."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from controlplane import supervisor as module
from controlplane.link import Link
from controlplane.problems import ConfigurationError, Problem
from controlplane.settings import Settings
from controlplane.start_errors import StartError, failure_message
from controlplane.supervisor import Supervisor
from tests.unit.controlplane.test_serve import free_port

DEADLINE_SECONDS = 10


async def _at_once(_body: None) -> None:
    pass


ANSWERS = {"alive": _at_once}


class FakeWorker:
    """A process that ends when the test says so, or when it is told to stop."""

    def __init__(self, number: int, code_when_stopped: int = 0) -> None:
        self.number = number
        self.pid = 1000 + number
        self.link: Link
        self.reason = ""
        self.told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.hangs = False
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def connect(self, end: socket.socket) -> None:
        tells = {name: self._teller(name) for name in ("begin", "stop", "grant")}
        self.link = await Link.open(end, tells, {**ANSWERS, "why_not_ready": self._why_not, "metrics": self._metrics})

    def _teller(self, name: str) -> Any:
        def tell(body: Any) -> None:
            self.told.put_nowait((name, body))
            if name == "stop" and not self.hangs:
                self.end(0)

        return tell

    async def _why_not(self, _body: None) -> str:
        return self.reason

    async def _metrics(self, _body: None) -> str:
        return f"# HELP x X.\n# TYPE x gauge\nx {self.number}\n"

    def serve(self) -> None:
        self.link.tell("up")
        self.link.tell("serving")

    def fail(self, error: ConfigurationError | StartError) -> None:
        self.link.tell("failed", failure_message(error))
        self.end(1)

    def end(self, code: int) -> None:
        if not self._code.done():
            self._code.set_result(code)

    async def wait(self) -> int:
        code = await asyncio.shield(self._code)
        await self.link.close()
        return code

    def kill(self) -> None:
        if self._code.done():
            raise ProcessLookupError
        self.end(-9)


class FakeDivider:
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.due: dict[int, dict[str, Any]] = {}
        self.divisions = 0

    def join(self, worker: int) -> None:
        self.calls.append(("join", worker))

    def leave(self, worker: int) -> None:
        self.calls.append(("leave", worker))

    def report(self, worker: int, message: dict[str, Any]) -> None:
        self.calls.append(("report", worker, message))

    def grants(self) -> Mapping[int, dict[str, Any]]:
        self.divisions += 1
        due, self.due = self.due, {}
        return due


class Stage:
    """A supervisor of two workers."""

    def __init__(self, **settings: Any) -> None:
        base = {"cluster": {"bootstrap.servers": "b:1"}, "listen": f"127.0.0.1:{free_port()}", "workers": 2}
        self.divider = FakeDivider()
        self.spawned: asyncio.Queue[FakeWorker] = asyncio.Queue()
        self.spawn_error: OSError | None = None
        self.stopping = asyncio.Event()
        self.supervisor = Supervisor(
            Settings.model_validate({**base, **settings}), {"hello": 1}, self._spawn, self.divider
        )
        self.running = asyncio.create_task(self.supervisor.run(self.stopping))

    async def _spawn(self, number: int, end: socket.socket) -> FakeWorker:
        if self.spawn_error is not None:
            raise self.spawn_error
        worker = FakeWorker(number)
        await worker.connect(end.dup())
        self.spawned.put_nowait(worker)
        return worker

    async def both(self) -> list[FakeWorker]:
        return sorted([await self.spawned.get(), await self.spawned.get()], key=lambda worker: worker.number)

    async def until_ready(self) -> None:
        while await self.supervisor.why_not_ready():  # noqa: ASYNC110 - it asks the workers each time
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self.stopping.set()
        await self.running


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("controlplane.restarts.FIRST_SECONDS", 0.01)
    async with asyncio.timeout(DEADLINE_SECONDS):
        yield Stage()


async def test_workers_are_told_what_to_do_and_to_stop(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zonegate")
    workers = await stage.both()
    for worker in workers:
        assert await worker.told.get() == ("begin", {"hello": 1})
        worker.serve()
    await stage.until_ready()

    await stage.stop()

    for worker in workers:
        assert await worker.told.get() == ("stop", None)
    assert [record.message for record in caplog.records] == ["gateway is ready", "stopping"]
    assert stage.divider.calls == [("join", 0), ("join", 1), ("leave", 0), ("leave", 1)]
    assert await stage.supervisor.why_not_ready() == "the gateway is stopping"


async def test_ready_when_every_worker_is(stage: Stage) -> None:
    assert await stage.supervisor.why_not_ready() == "worker 0: it is starting"
    first, second = await stage.both()
    first.serve()
    second.serve()
    await stage.until_ready()

    second.reason = "the Kafka cluster does not answer"
    assert await stage.supervisor.why_not_ready() == "worker 1: the Kafka cluster does not answer"
    await stage.stop()


async def test_a_worker_that_dies_is_started_again(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zonegate")
    first, second = await stage.both()
    first.serve()
    second.serve()
    await stage.until_ready()
    second.end(-11)
    again = await stage.spawned.get()
    assert (again.number, await again.told.get()) == (1, ("begin", {"hello": 1}))
    assert (await stage.supervisor.why_not_ready()) == "worker 1: it is starting"
    again.serve()
    await stage.until_ready()
    await stage.stop()

    assert [record.message for record in caplog.records] == [
        "gateway is ready",
        "worker 1 was ended by SIGSEGV; it is started again in 0.01 s",
        "a worker is ready again",
        "stopping",
    ]
    assert stage.divider.calls == [
        *(("join", 0), ("join", 1), ("leave", 1), ("join", 1)),
        *(("leave", 0), ("leave", 1)),
    ]
    assert stage.supervisor.metrics.restarts == {1: 1}


@pytest.mark.parametrize(
    "error",
    [
        StartError("listen: taken"),
        ConfigurationError([Problem("a.yaml", 3, "spec", "is wrong"), Problem("b", None, "", "x")]),
    ],
)
async def test_what_keeps_a_worker_from_its_first_start_ends_all(
    stage: Stage, error: ConfigurationError | StartError
) -> None:
    first, second = await stage.both()
    first.serve()
    second.fail(error)

    with pytest.raises(type(error)) as caught:
        await stage.running

    assert str(caught.value) == str(error)
    assert [(await first.told.get())[0] for _ in range(2)] == ["begin", "stop"]


async def test_a_worker_that_ends_itself_at_its_first_start_ends_all(stage: Stage) -> None:
    first, second = await stage.both()
    first.serve()
    second.end(1)

    with pytest.raises(StartError, match="worker 1 has ended with exit code 1"):
        await asyncio.wait_for(stage.running, DEADLINE_SECONDS)

    assert [(await first.told.get())[0] for _ in range(2)] == ["begin", "stop"]


async def test_a_worker_that_cannot_be_started_at_first_ends_all(stage: Stage) -> None:
    stage.spawn_error = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with pytest.raises(StartError, match=r"worker \d can't be started \(Resource temporarily unavailable\)"):
        await asyncio.wait_for(stage.running, DEADLINE_SECONDS)


@pytest.mark.parametrize("serves", [False, True], ids=["killed before it serves", "it has served"])
async def test_a_restart_that_fails_before_all_have_served_is_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture, serves: bool
) -> None:
    first, second = await stage.both()
    if serves:
        second.serve()
    second.end(1 if serves else -9)
    (await stage.spawned.get()).fail(ConfigurationError([Problem("a.yaml", 3, "spec", "is wrong")]))

    third = asyncio.create_task(stage.spawned.get())
    await asyncio.wait({third, stage.running}, return_when=asyncio.FIRST_COMPLETED)
    assert not stage.running.done(), stage.running.exception()
    third.result().serve()
    first.serve()
    await stage.until_ready()
    await stage.stop()

    assert caplog.messages == [
        f"worker 1 {'has ended with exit code 1' if serves else 'was ended by SIGKILL'}; it is started again in 0.01 s",
        "worker 1 can't start: a.yaml:3: spec: is wrong; it is started again in 0.02 s",
    ]


async def test_a_later_start_that_fails_is_tried_again(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    first, second = await stage.both()
    first.serve()
    second.serve()
    await stage.until_ready()
    first.end(1)
    (await stage.spawned.get()).fail(ConfigurationError([Problem("a.yaml", 3, "spec", "is wrong")]))

    (await stage.spawned.get()).serve()
    await stage.until_ready()
    await stage.stop()

    assert caplog.messages == [
        "worker 0 has ended with exit code 1; it is started again in 0.01 s",
        "worker 0 can't start: a.yaml:3: spec: is wrong; it is started again in 0.02 s",
    ]


async def test_a_worker_that_does_not_stop_is_killed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Supervisor, "_stop_seconds", 0.05)
    first, second = await stage.both()
    second.hangs = True
    first.serve()
    second.serve()
    await stage.until_ready()

    await stage.stop()

    assert await second.wait() == -9
    assert caplog.messages == ["workers do not stop and are killed"]


async def test_a_worker_that_loses_its_link_is_killed_and_started_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "_stop_seconds", 0.05)
    first, _ = await stage.both()
    await first.link.close()

    again = await stage.spawned.get()

    assert (again.number, await first.wait()) == (0, -9)
    await stage.stop()


async def test_a_worker_that_is_gone_when_it_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        first.end(0)
        raise ProcessLookupError

    monkeypatch.setattr(Supervisor, "_stop_seconds", 0.05)
    first, _ = await stage.both()
    monkeypatch.setattr(first, "kill", gone)
    await first.link.close()

    again = asyncio.create_task(stage.spawned.get())
    await asyncio.wait({again, stage.running}, return_when=asyncio.FIRST_COMPLETED)
    assert again.done()
    await stage.stop()


async def test_a_worker_that_hangs_is_killed_and_started_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("controlplane.health.WATCH_SECONDS", 0.01)
    _, second = await stage.both()
    second.link._asks = {"alive": _never}
    second.link.tell("up")  # the first isn't, so that it may take its time

    again = await asyncio.wait_for(stage.spawned.get(), DEADLINE_SECONDS)

    assert (again.number, await second.wait()) == (1, -9)
    assert caplog.messages == ["worker 1 no longer answered and was killed; it is started again in 0.01 s"]
    await stage.stop()


async def test_a_worker_that_does_not_answer_is_not_ready_and_has_no_metrics(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    first, second = await stage.both()
    first.serve()
    second.serve()
    await stage.until_ready()
    second.link._asks = {**ANSWERS, "why_not_ready": _never, "metrics": _never}

    text = (await stage.supervisor.expose()).decode()
    assert [line for line in text.splitlines() if line.startswith(("x", "zonegate_worker_up"))] == [
        'zonegate_worker_up{worker="0"} 1.0',
        'zonegate_worker_up{worker="1"} 0.0',
        'x{worker="0"} 0',
    ]
    assert await stage.supervisor.why_not_ready() == "worker 1: no answer within 0.05 s"
    stage.stopping.set()
    second.kill()
    await stage.running


async def _never(_body: None) -> None:
    await asyncio.Event().wait()


async def test_reports_are_answered_with_grants(stage: Stage) -> None:
    first, second = await stage.both()
    for worker in (first, second):
        assert (await worker.told.get())[0] == "begin"
    stage.divider.due = {0: {"share": 1}, 1: {"share": 2}, 7: {"share": 3}}

    first.link.tell("report", {"used": 5})

    assert await first.told.get() == ("grant", {"share": 1})
    assert await second.told.get() == ("grant", {"share": 2})
    assert stage.divider.calls[-1] == ("report", 0, {"used": 5})
    await stage.stop()


async def test_reports_that_come_together_are_answered_once(stage: Stage) -> None:
    first, second = await stage.both()
    for worker in (first, second):
        assert (await worker.told.get())[0] == "begin"
    stage.divider.due = {0: {"share": 1}}
    first.link.tell("report", {"used": 5})
    assert await first.told.get() == ("grant", {"share": 1})
    before = stage.divider.divisions

    stage.divider.due = {0: {"share": 2}}
    for used in range(3):
        first.link.tell("report", {"used": used})
    assert await first.told.get() == ("grant", {"share": 2})

    assert stage.divider.calls[-3:] == [("report", 0, {"used": used}) for used in range(3)]
    assert stage.divider.divisions == before + 1
    await stage.stop()


async def test_ports_are_claimed_for_all(stage: Stage) -> None:
    first, _ = await stage.both()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free, port = free_port(), taken.getsockname()[1]

        assert await first.link.ask("claim", DEADLINE_SECONDS, ["127.0.0.1", free]) is None
        answer = await first.link.ask("claim", DEADLINE_SECONDS, ["127.0.0.1", port])

    assert answer == {"errno": errno.EADDRINUSE, "text": os.strerror(errno.EADDRINUSE)}
    await stage.stop()


async def test_a_bootstrap_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stage = Stage(listen=f"127.0.0.1:{port}")
        with pytest.raises(StartError) as caught:
            await stage.running

    assert str(caught.value) == f"listen: 127.0.0.1:{port} is in use by another process; free it or set another address"
    assert stage.spawned.empty()
