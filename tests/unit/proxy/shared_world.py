"""Several processes that share limits, without sockets: real registries and limiters, messages as events, one time."""

import heapq
import json
from collections.abc import Callable
from typing import Any

from policies.shares import ShareDivider
from policies.zone import Zone, ZoneLimits
from proxy.metrics import GatewayMetrics
from proxy.shared_limits import SharedLimits
from proxy.traffic import Kind, Limiter, Usage
from proxy.zones import ZoneRegistry

TICK = 0.25

Message = dict[str, Any]
Event = Callable[[], None]


class Timeline:
    """Runs events at their times, one after the other."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Event]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    def after(self, seconds: float, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, event))

    def run(self, seconds: float, check: Event | None = None) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
            if check is not None:
                check()
        self.now = end


def zone(limit: int | None, name: str = "external", commits: int | None = None) -> Zone:
    limits = ZoneLimits(produce_rate=limit, commits_per_minute=commits)
    return Zone(name=name, cluster="kafka", service_account=name, aliases=(), limits=limits)


class Process:
    """Handles what comes, or, while it hangs, keeps it until it goes on."""

    def __init__(self) -> None:
        self.hung: list[Event] | None = None
        """What came while it hung."""

    def awake(self, event: Event) -> None:
        """Run it, or as soon as the process doesn't hang any more."""
        if self.hung is not None:
            self.hung.append(event)
        else:
            event()

    def hang(self) -> None:
        self.hung = self.hung or []

    def resume(self) -> None:
        waiting, self.hung = self.hung or [], None
        for event in waiting:
            event()


class Worker(Process):
    """One process: its registry, and its side of sharing. Its clock has an offset of its own."""

    def __init__(self, number: int, world: "World", zones: tuple[Zone, ...], burst_seconds: float = 1.0) -> None:
        super().__init__()
        self.number = number
        self.world = world
        offset = 1000.0 * number
        self.clock = lambda: world.time.now + offset
        self.registry = ZoneRegistry(GatewayMetrics(), self.clock, burst_seconds)
        self.shared = SharedLimits(self.registry, world.processes, self.clock)
        self.shared.on_urgent = lambda: world.time.after(0.0, self.send)
        self.reports = 0
        self.dead = False
        self.final: Usage | None = None
        self.apply(*zones)
        world.time.after(TICK * (number + 1) / (world.processes + 1), self._beat)

    def apply(self, *zones: Zone) -> None:
        self.registry.apply(zones, [])

    def limiter(self, kind: Kind = Kind.PRODUCE, name: str = "external") -> Limiter:
        return self.registry.zones[name].traffic[kind]

    def awake(self, event: Event) -> None:
        if not self.dead:
            super().awake(event)

    def _beat(self) -> None:
        if not self.dead:
            self.awake(self._tick)
            self.world.time.after(TICK, self._beat)

    def _tick(self) -> None:
        self.shared.tick()
        self.send()

    def send(self) -> None:
        if self.dead:
            return
        message = self.shared.report()
        if message is not None:
            self.reports += 1
            self.world.to_divider(self.number, message)


class World(Process):
    """The divider, which may hang, and the workers, with messages that take their time."""

    def __init__(self, processes: int, *zones: Zone, latency: float = 0.001, burst_seconds: float = 1.0) -> None:
        super().__init__()
        self.time = Timeline()
        self.processes = processes
        self.latency: Callable[[], tuple[float, ...]] = lambda: (latency,)
        """When each copy of a message arrives."""
        self.divider = ShareDivider(processes, self.time.clock, burst_seconds)
        self.zones = zones
        self.burst_seconds = burst_seconds
        self.bytes = 0
        self.workers: dict[int, Worker] = {}
        for number in range(processes):
            self.start(number)

    def start(self, number: int) -> Worker:
        """A process is started, or started anew."""
        if number in self.workers:
            self.workers[number].dead = True
        self.divider.join(number)
        self.workers[number] = Worker(number, self, self.zones, self.burst_seconds)
        return self.workers[number]

    def stop(self, number: int) -> None:
        self.workers.pop(number).dead = True
        self.divider.leave(number)

    def to_divider(self, number: int, message: Message) -> None:
        text = json.dumps(message)
        self.bytes += len(text)
        for seconds in self.latency():
            self.time.after(seconds, lambda: self.awake(lambda: self._divide(number, json.loads(text))))

    def _divide(self, number: int, message: Message) -> None:
        self.divider.report(number, message)
        for to, grant in self.divider.grants().items():
            self._to_worker(to, json.dumps(grant))

    def _to_worker(self, number: int, text: str) -> None:
        self.bytes += len(text)
        for seconds in self.latency():
            self.time.after(seconds, lambda: self._at_worker(number, json.loads(text)))

    def _at_worker(self, number: int, message: Message) -> None:
        worker = self.workers.get(number)
        if worker is not None:
            worker.awake(lambda: worker.shared.take(message))


class Connection:
    """Sends `size` units, waits until that is paid, thinks, and sends again; with `every`, at fixed times at best."""

    def __init__(
        self, worker: Worker, size: float, think: float = 0.0, every: float = 0.0, kind: Kind = Kind.PRODUCE
    ) -> None:
        self.sent = 0.0
        self.on = True
        self._time = worker.world.time
        self._size = size
        self._think = think
        self._every = every
        self._limiter = worker.limiter(kind)
        self._account = self._limiter.open()
        self._waits = False
        self._time.after(0.0, self._send)

    def _send(self) -> None:
        if not self.on:
            self._limiter.leave(self._account)
            return
        self._limiter.charge(self._account, self._size)
        self.sent += self._size
        self._due = self._time.now + self._every
        self._waits = True
        self._limiter.waiting[self._ask] = None
        self._ask()

    def _ask(self) -> None:
        if not self._waits:
            return
        wait = self._limiter.wait(self._account)
        if wait > 0:
            self._time.after(max(wait, 1e-6), self._ask)
            return
        self._waits = False
        del self._limiter.waiting[self._ask]
        self._time.after(max(self._think, self._due - self._time.now), self._send)
