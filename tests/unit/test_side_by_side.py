"""How test processes share the machine, and that none of them leaves a test out."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.side_by_side import Machine

SECONDS = 20.0
TESTS = Path(__file__).parents[1]


@pytest.fixture
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Machine]:
    def make() -> Machine:
        made = Machine(tmp_path)
        request.addfinalizer(made.close)
        return made

    return make


def entering(machine: Machine, alone: bool) -> threading.Event:
    """Set once it is in."""
    inside = threading.Event()

    def enter() -> None:
        machine.enter(alone)
        inside.set()

    threading.Thread(target=enter, daemon=True).start()
    return inside


def test_many_at_once(machine: Callable[[], Machine]) -> None:
    machine().enter(alone=False)
    assert entering(machine(), alone=False).wait(SECONDS)


def test_alone_waits_for_all_others_and_lets_nobody_in(machine: Callable[[], Machine]) -> None:
    first, second = machine(), machine()
    first.enter(alone=False)
    alone = entering(second, alone=True)
    assert not alone.wait(0.2)
    first.leave()
    assert alone.wait(SECONDS)
    later = entering(first, alone=False)
    assert not later.wait(0.2)
    second.leave()
    assert later.wait(SECONDS)


def test_it_is_kept_from_one_test_to_the_next_that_wants_it_alone(machine: Callable[[], Machine]) -> None:
    first, second = machine(), machine()
    first.enter(alone=True)
    waiting = entering(second, alone=False)
    first.leave(to_stay_alone=True)
    first.enter(alone=True)
    assert not waiting.wait(0.2)
    first.leave()
    assert waiting.wait(SECONDS)


def test_others_do_not_keep_it_from_one_to_the_next(machine: Callable[[], Machine]) -> None:
    first, second = machine(), machine()
    first.enter(alone=False)
    alone = entering(second, alone=True)
    first.leave(to_stay_alone=True)
    assert alone.wait(SECONDS)


def test_what_needs_kafka_is_where_make_test_looks_for_it() -> None:
    listed = re.search(r"^KAFKA_TESTS := .*tests/,(.+)\)$", (TESTS.parent / "Makefile").read_text(), re.MULTILINE)
    assert listed is not None
    marker = re.compile(r"\bmark\.kafka\b")
    marked = {path for path in TESTS.rglob("test_*.py") if marker.search(path.read_text(encoding="utf-8"))}
    assert marked
    assert {path.relative_to(TESTS).parts[0] for path in marked} == set(listed[1].split())
