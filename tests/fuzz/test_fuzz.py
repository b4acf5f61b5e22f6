"""A short fuzz in every test run, and one of gateways with planted bugs: it finds, reduces and replays them."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import pytest

from protocol.schema import API_NAMES
from proxy.apis import coordinator, groups
from proxy.close import CloseReason
from proxy.exchange import BrokerRequest
from proxy.flow import Hold, MemoryBudget, Turnstile
from proxy.pipeline import Pipeline
from proxy.session import ClientSession
from proxy.throttling import Throttle
from tests.fuzz.__main__ import main
from tests.fuzz.checks import Failure, frames_of
from tests.fuzz.player import play_world, replay
from tests.fuzz.reduce import shorter
from tests.fuzz.stage import World
from tests.fuzz.steps import Kind, Script, Step

SEED: Final = 4
WORLDS: Final = 12
"""Some three thousand frames."""
SEARCHED_WORLDS: Final = 60


def played() -> Counter[str]:
    """The outcomes of some worlds, and their frames."""
    outcomes: Counter[str] = Counter()
    for number in range(WORLDS):
        world, failure = play_world(SEED, number)
        assert failure is None, f"make fuzz ARGS='--seed {SEED}' finds it again:\n{failure.signature}\n{failure}"
        outcomes += world.outcomes
        outcomes["frames"] += world.frames
    return outcomes


def test_whatever_comes_ends_in_an_answer_or_a_close_with_a_reason() -> None:
    outcomes = played()
    frames = outcomes["frames"]
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, ClientSession)], "a connection stays in memory"
    assert frames > WORLDS * 250
    assert outcomes["answered"] > frames / 4, "a fuzz of frames that nobody answers looks at little"
    assert outcomes.keys() >= {
        "bad_request",
        "bad_frame",
        "unsupported_api",
        "not_authenticated",
        "broker_protocol_error",
    }


def test_a_world_follows_from_its_seed_and_number() -> None:
    one, other = play_world(7, 3)[0], play_world(7, 3)[0]
    assert one.steps == other.steps
    assert play_world(7, 4)[0].steps != one.steps


def test_every_api_is_played() -> None:
    played = set()
    for number in range(40):
        for step in play_world(SEED + 1, number)[0].steps:
            if step.kind is Kind.CLIENT:
                played |= {int.from_bytes(frame[4:6], "big") for frame in frames_of(bytearray(step.data))}
    assert played >= set(API_NAMES)


# gateways with bugs


def _raising(*_: object) -> None:
    raise KeyError("planted")


@contextmanager
def answers_in_the_order_of_the_broker() -> Iterator[None]:
    def release(self: Pipeline, exchange: Any, pieces: Any, size: int) -> None:
        self._queue.remove(exchange)
        self.client.write(pieces, size)

    with patch.object(Pipeline, "_release", release):
        yield


@contextmanager
def names_brokers_hosts() -> Iterator[None]:
    finish = coordinator._finish

    def leaking(call: Any, keys: Any, refused: Any, response: Any) -> Any:
        answer = finish(call, keys, refused, response)
        if hasattr(response, "host"):
            answer.message.host = response.host
        return answer

    with patch.object(coordinator, "_finish", leaking):
        yield


@contextmanager
def keeps_the_memory_budget() -> Iterator[None]:
    with patch.object(MemoryBudget, "give", lambda *_: None):
        yield


@contextmanager
def keeps_its_turn() -> Iterator[None]:
    with patch.object(Turnstile, "leave", lambda *_: None):
        yield


@contextmanager
def fails_on_a_group() -> Iterator[None]:
    with patch("proxy.apis.groups.group_refusal", _raising):
        yield


@contextmanager
def passes_group_ids() -> Iterator[None]:
    with patch.object(groups, "_broker_request", lambda call: BrokerRequest(call.api_key, call.version, call.request)):
        yield


@contextmanager
def holds_without_a_timer() -> Iterator[None]:
    with patch.object(Throttle, "_hold", lambda self, _: self._pipeline.hold(Hold.THROTTLED)):
        yield


@contextmanager
def closes_without_a_reason() -> Iterator[None]:
    close = ClientSession.close

    def silent(self: ClientSession, reason: CloseReason, detail: str = "") -> None:
        no_reason: Any = SimpleNamespace(value="")
        close(self, no_reason if reason is CloseReason.BAD_FRAME else reason, detail)

    with patch.object(ClientSession, "close", silent):
        yield


BUGS: Final[dict[str, tuple[Callable[[], Any], tuple[str, ...]]]] = {
    "answers in the order of the broker": (answers_in_the_order_of_the_broker, ("order", "answer")),
    "a broker's host in an answer": (names_brokers_hosts, ("canary",)),
    "memory that is never given back": (keeps_the_memory_budget, ("left behind",)),
    "a turn that is never over": (keeps_its_turn, ("left behind",)),
    "an exception": (fails_on_a_group, ("internal error",)),
    "group ids without their prefix": (passes_group_ids, ("backing name",)),
    "a pause without an end": (holds_without_a_timer, ("held",)),
    "a close without a reason": (closes_without_a_reason, ("reason",)),
}


def search() -> tuple[Script, Failure]:
    for number in range(SEARCHED_WORLDS):
        world, failure = play_world(SEED, number)
        if failure is not None:
            return Script(world.setting, world.steps), failure
    raise AssertionError(f"not found in {SEARCHED_WORLDS} worlds")


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found(name: str) -> None:
    bug, checks = BUGS[name]
    with bug():
        _, failure = search()
    assert failure.check in checks


def test_a_failure_is_reduced_written_down_and_played_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "failures" / "one.json"
    with fails_on_a_group():
        script, failure = search()
        short = shorter(script, failure.signature, seconds=5)
        short.save(path, failure.signature, str(failure))
        assert replay(Script.load(path)) is not None
        assert main(["--replay", str(path)]) == 1
    assert len(short.steps) <= 3 < len(script.steps)
    assert "KeyError" in capsys.readouterr().out
    assert Script.load(path) == Script(short.setting, list(short.steps))
    assert main(["--replay", str(path)]) == 0, "without the bug nothing fails"


def test_a_step_that_hangs_is_told() -> None:
    def hang(*_: object) -> None:
        while True:
            pass

    with (
        patch("tests.fuzz.stage.STEP_SECONDS", 0.05),
        patch("proxy.apis.groups.group_refusal", hang),
        World("newest") as world,
        pytest.raises(Failure) as caught,
    ):
        world.do(Step(Kind.CONNECT, 1, number=1))
        world.do(Step(Kind.SIGN_IN, 1, b"PLAIN", text="johndoe"))
        world.do(Step(Kind.CLIENT, 1, bytes.fromhex("00000016000c0000000000020003617070000167000000000000")))
    assert "Stuck" in str(caught.value)
