"""A run: worlds in several processes until so many frames have been seen, and what is shown of it."""

import sys
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.queues import Queue
from os import nice
from pathlib import Path
from time import monotonic
from typing import Final

from tests.fuzz.checks import Failure
from tests.fuzz.player import play_world
from tests.fuzz.reduce import shorter
from tests.fuzz.steps import Script

REPORT_SECONDS: Final = 2.0
REDUCE_SECONDS: Final = 30.0
MAX_FAILURES: Final = 10
SHOWN_STEPS: Final = 30


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be."""

    frames: int
    seed: int
    jobs: int
    nice: int
    out: Path
    """Folder of failures."""


@dataclass(slots=True)
class News:
    """What a worker has done since its last news."""

    frames: int = 0
    worlds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failure: "Found | None" = None
    slowest: tuple[float, int] = (0.0, 0)
    """Seconds of the slowest step, and its world."""
    done: bool = False
    crash: str = ""
    """Of the fuzz itself."""


@dataclass(slots=True)
class Found:
    """A failure, reduced and written down."""

    world: int
    signature: str
    message: str
    path: Path
    script: Script


def show_steps(script: Script) -> None:
    print(f"With the setting {script.setting!r}:")
    for step in script.steps[-SHOWN_STEPS:]:
        print(f"  {step}")


class Run:
    """The parent: starts the workers, adds up their news and shows them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._total = News()
        self._failures: dict[str, Found] = {}
        self._started = monotonic()

    def watch(self) -> int:
        context = get_context("spawn")
        news: Queue[News] = context.Queue()
        workers = [
            context.Process(target=work, args=(self._options, number, news), daemon=True)
            for number in range(self._options.jobs)
        ]
        for worker in workers:
            worker.start()
        running = len(workers)
        while running and len(self._failures) < MAX_FAILURES:
            latest = news.get()
            if latest.crash:
                print(f"\nThe fuzz itself has failed:\n{latest.crash}")
                break
            running -= latest.done
            self._add(latest)
        for worker in workers:
            worker.terminate()
            worker.join()
        return self._conclude()

    def _add(self, news: News) -> None:
        total = self._total
        total.frames += news.frames
        total.worlds += news.worlds
        total.outcomes += news.outcomes
        total.slowest = max(total.slowest, news.slowest)
        if news.failure is not None and news.failure.signature not in self._failures:
            self._failures[news.failure.signature] = news.failure
            self._show(news.failure)
        elif not news.done:
            self._progress()

    def _progress(self) -> None:
        seconds = monotonic() - self._started
        rate = self._total.frames / seconds
        common = ", ".join(f"{name} {count:,}" for name, count in self._total.outcomes.most_common(4))
        line = f"{self._total.frames:>11,} frames, {rate:>6,.0f}/s; {len(self._failures)} failures; {common}"
        print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)

    def _show(self, found: Found) -> None:
        print(f"\n\nFailure in world {found.world}: {found.signature}\n{found.message}")
        show_steps(found.script)
        print(f"Again: python -m tests.fuzz --replay {found.path}\n", flush=True)

    def _conclude(self) -> int:
        total, seconds = self._total, monotonic() - self._started
        print(
            f"\n{total.frames:,} frames in {total.worlds:,} worlds and {seconds:.0f} s: {total.frames / seconds:,.0f}/s"
        )
        for outcome, count in total.outcomes.most_common():
            print(f"  {count:>11,} {outcome}")
        print(f"The slowest step took {total.slowest[0] * 1000:.0f} ms, in world {total.slowest[1]}.")
        for found in self._failures.values():
            print(f"FAILED: {found.signature} ({found.path})")
        if not self._failures and total.frames >= self._options.frames:
            print("Every frame ended in an answer or in a close with a reason.")
        return 1 if self._failures or total.frames < self._options.frames else 0


def work(options: Options, number: int, queue: "Queue[News]") -> None:
    """One process."""
    nice(options.nice)
    try:
        _play(options, number, queue)
    except BaseException:
        queue.put(News(crash=traceback.format_exc()))
        raise


def _play(options: Options, number: int, queue: "Queue[News]") -> None:
    """Every so-many-th world, until this process's share of the frames is played."""
    news, played, world_number, known = News(), 0, number, set()
    reported = monotonic()
    while played < options.frames / options.jobs:
        world, failure = play_world(options.seed, world_number)
        played += world.frames
        news.frames += world.frames
        news.worlds += 1
        news.outcomes += world.outcomes
        news.slowest = max(news.slowest, (world.slowest, world_number))
        if failure is not None and failure.signature not in known:
            known.add(failure.signature)
            news.failure = _write_down(options, world_number, Script(world.setting, world.steps), failure)
        if news.failure is not None or monotonic() - reported > REPORT_SECONDS:
            queue.put(news)
            news, reported = News(), monotonic()
        world_number += options.jobs
    news.done = True
    queue.put(news)


def _write_down(options: Options, world: int, script: Script, failure: Failure) -> Found:
    short = shorter(script, failure.signature, REDUCE_SECONDS)
    path: Path = options.out / f"seed-{options.seed}-world-{world}.json"
    short.save(path, failure.signature, str(failure))
    return Found(world, failure.signature, str(failure), path, short)
