"""Fixtures for all tests, and how those that run side by side share the machine."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.side_by_side import MACHINE_VARIABLE, PROCESSES, Machine

pytest_plugins = ["tests.kafka.fixtures", "tests.browser.fixtures"]

MACHINE = pytest.StashKey[Machine]()


def pytest_configure(config: pytest.Config) -> None:
    if PROCESSES > 1:
        machine = config.stash[MACHINE] = Machine(Path(os.environ[MACHINE_VARIABLE]))
        config.add_cleanup(machine.close)
    elif getattr(config.option, "numprocesses", None):
        folder = tempfile.TemporaryDirectory(prefix="zonegate-tests-")
        config.add_cleanup(folder.cleanup)
        os.environ[MACHINE_VARIABLE] = folder.name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if MACHINE in config.stash:
        # Large files first, and last those whose tests keep the other processes waiting.
        counts = Counter(item.path for item in items)
        items.sort(key=lambda item: (_is_alone(item), -counts[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """With fixtures and all: a cluster that starts takes the whole machine."""
    machine = item.config.stash.get(MACHINE, None)
    if machine is None:
        return (yield)
    machine.enter(_is_alone(item))
    try:
        return (yield)
    finally:
        machine.leave(nextitem is not None and _is_alone(nextitem))


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None
