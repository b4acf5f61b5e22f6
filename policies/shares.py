"""How several processes share the limits of zones: who gets which part, and why the parts never add up to more than 1.

One divider hears from each process what it needs of each limit that is in use there, and grants parts of the limit.
All is reckoned in parts of the limit, from 0 to 1, so that nobody here needs to know it: where processes see an edit at
different moments, their sum is within the larger of both limits meanwhile, and right as soon as all have seen it.

**Who gets which part**: max-min fair by weight (`divide`). Nobody gets more than it needs while another one needs more;
a process counts as much as it has connections that use the limit. What nobody needs goes in equal parts to those who
use the limit, and none of it to others: so one with all the traffic may save up a whole burst, however many there are.

**Why it is safe.** Each process may use its *floor* at any time: FLOOR / processes of the limit, never granted to
others. The rest is lent, by numbered grants that run out:

* The holder counts LEASE_SECONDS from when it *sent* the report that the grant answers; the divider counts from when it
  *received* that report, which is later. So a grant is over for its holder when it is for the divider, however late it
  arrives, and clocks need to agree in nothing but their speed. Who isn't heard is left with its floor.
* A holder never takes a grant that isn't newer than the last one, and its reports tell the number of that one. So the
  divider knows which grants may be in force, now or later: the one that was told last and all later ones which haven't
  run out. It reckons with the largest of them.
* A grant is at most what remains when so much is set aside for all other processes; for those, too, that have left or
  were started again, until their grants have run out, since a link may break before its process does.

So the sum holds at each grant, and between grants only what is reckoned with shrinks. Lost, late, doubled and reordered
messages change nothing about it: a grant names the incarnation of the process that it is for, and reports are numbered.
There is one divider, from before the first process starts until after the last one has ended.

**What came in unused** at one process, because its stock was full or its part was lowered, it tells, and has lost; it
is handed on, once, to those in debt, as much as they have room for. So requests that come in lumps leave none of the
limit idle, and no stock is larger for it. What is told or handed on in a message that is lost is lost.

**What is lent to nobody** the divider saves up, as if it were one more process: it comes in while no lease is in force,
and what came in unused and nobody had room for joins it, up to what goes with the part that isn't lent: part * burst.
Whoever is lent of that part gets as much of the stock with it, which the divider has no more. So who comes first after
a silence finds a whole burst. No more comes in than parts add up to, and so no more is in stock than the burst. What
came in unused isn't in stock until it is handed on: by what is on its way at one time the burst may be exceeded.

Messages, which can be written as JSON:

    report {"process": incarnation, "number": n, "limits": {zone: {kind: [taken, need, weight, room, unused]}}}
    grant  {"process": incarnation, "answers": n, "number": m, "shares": {zone: {kind: [part, expected, handed]}}}

`taken` is the number of the last grant; `need` is 0 for a process that only holds a part. `expected` is what a process
would get on asking for more. Parts are parts of the limit; room, and what is unused and handed on, count in seconds of
the whole limit. Pure: the clock, monotonic and in seconds, is an argument.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import floor, inf
from typing import Any, Final

LEASE_SECONDS: Final = 1.5
"""A share must follow demand within two seconds, also away from a process that hangs or has died."""

FLOOR: Final = 0.01
"""Of a limit, for all processes together: enough to be heard of, and little to lose where only one has traffic."""

_HEARD_SECONDS: Final = 1.0
"""Who was heard in that time gets of what is left over. Reports come several times a second."""

_STEP: Final = 0.02
"""A change by this part is told at once, a smaller one in answer to the next report."""

_PRECISION: Final = 1e6
"""Parts are rounded down to this, for short messages."""

Message = dict[str, Any]


def floor_part(processes: int) -> float:
    """What each process may use of a limit without asking."""
    return FLOOR / processes


def divide(whole: float, demands: Sequence[tuple[float, float]]) -> list[float]:
    """Max-min fair parts of `whole` for each (need, weight); what nobody needs, in equal parts to all with a weight."""
    parts = _fill(whole, demands)
    users = sum(weight > 0 for _, weight in demands)
    spare = max(whole - sum(parts), 0.0) / max(users, 1)
    return [part + spare if weight > 0 else 0.0 for part, (_, weight) in zip(parts, demands, strict=True)]


def _fill(whole: float, demands: Sequence[tuple[float, float]]) -> list[float]:
    """The same, without what nobody needs."""
    parts = [0.0] * len(demands)
    left, weights = whole, sum(weight for _, weight in demands)
    by_level = sorted(range(len(demands)), key=lambda i: demands[i][0] / demands[i][1] if demands[i][1] > 0 else 0.0)
    for i in by_level:
        need, weight = demands[i]
        parts[i] = max(min(need, left * weight / weights), 0.0) if weight > 0 else 0.0
        left -= parts[i]
        weights -= weight
    return parts


class _Process:
    """One incarnation of a worker."""

    __slots__ = ("heard", "incarnation", "number")

    def __init__(self) -> None:
        self.incarnation: str | None = None
        self.number = -1
        """Of the last report."""
        self.heard = -inf
        """When it came."""


@dataclass(slots=True)
class _Lease:
    """A grant that may be in force, or come into force."""

    number: int
    extra: float
    """Beyond the floor."""
    until: float


@dataclass(slots=True)
class _Stake:
    """One process's in one limit."""

    need: float = 0.0
    weight: float = 0.0
    room: float = 0.0
    unused: float = 0.0
    heard: float = -inf
    unanswered: bool = False
    leases: list[_Lease] = field(default_factory=list)

    def hear(self, taken: int, need: float, weight: float, room: float, unused: float, now: float) -> None:
        self.leases = [lease for lease in self.leases if lease.number >= taken]
        self.need, self.weight, self.room = need, weight, room
        self.unused += unused
        self.heard = now
        self.unanswered = True

    def demand(self, now: float) -> tuple[float, float]:
        return (self.need, max(self.weight, 1.0)) if self.need > 0 and now - self.heard < LEASE_SECONDS else (0.0, 0.0)

    def held(self, now: float) -> float:
        """The most that it may be using, now or later, by what has been granted."""
        if self.leases and self.leases[0].until <= now:
            self.leases = [lease for lease in self.leases if lease.until > now]
        return max((lease.extra for lease in self.leases), default=0.0)

    def worth_telling(self, extra: float) -> bool:
        if self.unanswered:
            return extra > 0 or bool(self.leases)
        last = self.leases[-1].extra if self.leases else 0.0
        return abs(extra - last) > _STEP * max(last, _STEP)

    def grant(self, lease: _Lease) -> None:
        if self.leases and self.leases[-1].extra == lease.extra:
            self.leases.pop()
        self.leases.append(lease)
        self.unanswered = False


class _Limit:
    """One limit: who has which stake in it, and what the divider has saved up."""

    __slots__ = ("_burst", "_lent_until", "_saved", "_saved_at", "stakes")

    def __init__(self, burst_seconds: float, empty_at: float) -> None:
        self.stakes: dict[_Process, _Stake] = {}
        self._burst = burst_seconds
        self._saved = 0.0
        """In seconds of the whole limit, never more than `free` * burst."""
        self._saved_at = empty_at
        self._lent_until = -inf
        """No lease is in force from then on."""

    def free(self, now: float) -> float:
        """The part that no lease may be using, now or later."""
        return 1.0 - FLOOR - sum(stake.held(now) for stake in self.stakes.values())

    def save(self, unused: float, now: float) -> float:
        """Let come in what nobody could use since the last time, and what had no room elsewhere. Returns `free`."""
        free = self.free(now)
        # less than has come in, where leases ended one by one or were given up early
        idle = max(now - max(self._saved_at, self._lent_until), 0.0)
        self._saved = max(min(self._saved + idle * (1.0 - FLOOR) + unused, free * self._burst), 0.0)
        self._saved_at = now
        return free

    def lend(self, stake: _Stake, lease: _Lease, free: float, now: float) -> tuple[float, float]:
        """Returns what is free then, and how much of what is saved goes with the lease. `save` comes before."""
        held = stake.held(now)
        stake.grant(lease)
        if lease.extra > 0:
            self._lent_until = max(self._lent_until, lease.until)
        more = stake.held(now) - held
        if more <= 0 or free <= 0:
            return free - more, 0.0
        handed = self._saved * min(more / free, 1.0)
        self._saved -= handed
        return free - more, handed

    def forget(self, now: float) -> bool:
        """Processes that have gone, or don't speak of it. Whether it is then like a limit that was never used."""
        for process, stake in list(self.stakes.items()):
            if not stake.held(now) and now - stake.heard >= LEASE_SECONDS:
                del self.stakes[process]
        return not self.stakes and now - max(self._saved_at, self._lent_until) >= self._burst


_Key = tuple[str, str]


class ShareDivider:
    """Divides each limit among `processes` at most. Workers are known by their numbers. `burst_seconds` is for how long
    a limit may be saved up."""

    def __init__(self, processes: int, clock: Callable[[], float], burst_seconds: float) -> None:
        self._processes = processes
        self._burst = burst_seconds
        self._clock = clock
        self._floor = floor_part(processes)
        self._members: dict[int, _Process] = {}
        self._limits: dict[_Key, _Limit] = {}
        self._touched: dict[_Key, None] = {}
        self._grants = 0
        # it begins with nothing saved: what was before it doesn't know
        self._began = self._swept = clock()

    def join(self, worker: int) -> None:
        """A process has been started under this number; a former one of the same number has ended."""
        if worker not in self._members and len(self._members) >= self._processes:
            raise ValueError(f"more than {self._processes} processes")
        self._members[worker] = _Process()

    def leave(self, worker: int) -> None:
        """It has ended, or is out of reach."""
        self._members.pop(worker, None)

    def report(self, worker: int, message: Message) -> None:
        """What a worker says. Whatever isn't a report is ignored."""
        process, number = self._members.get(worker), message.get("number")
        incarnation = message.get("process")
        if process is None or not isinstance(number, int) or not isinstance(incarnation, str):
            return
        if process.incarnation != incarnation:
            if process.incarnation is not None:
                process = self._members[worker] = _Process()
            process.incarnation = incarnation
        if number <= process.number:
            return
        now = self._clock()
        process.number, process.heard = number, now
        for key, entry in _entries(message.get("limits")):
            limit = self._limits.get(key)
            if limit is None:
                limit = self._limits[key] = _Limit(self._burst, self._began)
            limit.stakes.setdefault(process, _Stake()).hear(*entry, now)
            self._touched[key] = None

    def grants(self) -> dict[int, Message]:
        """What to tell now, by worker."""
        now = self._clock()
        self._forget(now)
        told: dict[int, Message] = {}
        live = {worker: process for worker, process in self._members.items() if now - process.heard < _HEARD_SECONDS}
        self._grants += 1
        for key in self._touched:
            limit = self._limits.get(key)
            for worker, share in self._grant(limit, live, now) if limit is not None else ():
                message = told.get(worker)
                if message is None:
                    message = told[worker] = self._message(live[worker])
                message["shares"].setdefault(key[0], {})[key[1]] = share
        self._touched.clear()
        return told

    def _message(self, process: _Process) -> Message:
        return {"process": process.incarnation, "answers": process.number, "number": self._grants, "shares": {}}

    def _grant(self, limit: _Limit, live: dict[int, _Process], now: float) -> Iterator[tuple[int, list[float]]]:
        """Lend as much of one limit as is free."""
        stakes = {worker: limit.stakes.get(process) or _Stake() for worker, process in live.items()}
        demands = [stake.demand(now) for stake in stakes.values()]
        unused = _take_unused(stakes.values())
        if not any(need for need, _ in demands):
            limit.save(unused, now)
            return
        demands = [(max(need - self._floor, 0.0), weight) for need, weight in demands]
        handed = _hand_on(unused, list(stakes.values()), demands)
        free = limit.save(unused - sum(handed), now)
        targets, chances = divide(1.0 - FLOOR, demands), _chances(1.0 - FLOOR, demands)
        for i, (worker, stake) in sorted(enumerate(stakes.items()), key=lambda item: targets[item[0]]):
            extra = _round_down(max(min(targets[i], stake.held(now) + free), 0.0))
            if not handed[i] and not stake.worth_telling(extra):
                continue
            process = live[worker]
            limit.stakes[process] = stake
            free, saved = limit.lend(stake, _Lease(self._grants, extra, process.heard + LEASE_SECONDS), free, now)
            expected = self._floor + max(targets[i], chances[i])
            yield worker, [round(self._floor + extra, 9), round(expected, 4), _round_down(handed[i] + saved)]

    def _forget(self, now: float) -> None:
        """Limits that nobody speaks of, and processes that have gone."""
        if now - self._swept < LEASE_SECONDS:
            return
        self._swept = now
        for key, limit in list(self._limits.items()):
            if limit.forget(now):
                del self._limits[key]


def _round_down(value: float) -> float:
    return floor(value * _PRECISION) / _PRECISION


def _take_unused(stakes: Iterable[_Stake]) -> float:
    """What came in unused, for once."""
    unused = 0.0
    for stake in stakes:
        unused += stake.unused
        stake.unused = 0.0
    return unused


def _hand_on(unused: float, stakes: list[_Stake], demands: Sequence[tuple[float, float]]) -> list[float]:
    """Who gets how much of what came in unused elsewhere."""
    if not unused:
        return [0.0] * len(stakes)
    handed = _fill(unused, [(stake.room, weight) for stake, (_, weight) in zip(stakes, demands, strict=True)])
    for stake, part in zip(stakes, handed, strict=True):
        stake.room -= part
    return handed


def _chances(whole: float, demands: Sequence[tuple[float, float]]) -> list[float]:
    """What each would get if it needed all: its part by weight, or what the others leave."""
    needs, weights = sum(need for need, _ in demands), sum(weight for _, weight in demands)
    chances = []
    for need, weight in demands:
        own = max(weight, 1.0)
        chances.append(max(whole * own / (weights - weight + own), whole - (needs - need)))
    return chances


def _entries(limits: object) -> Iterator[tuple[_Key, tuple[int, float, float, float, float]]]:
    """The valid ones of a report: limit, and its entry."""
    for zone, kinds in limits.items() if isinstance(limits, dict) else ():
        for kind, entry in kinds.items() if isinstance(kinds, dict) else ():
            if isinstance(entry, list) and len(entry) == 5 and all(_is_number(value) for value in entry):
                taken, need, weight, room, unused = entry
                yield (zone, kind), (taken, need, weight, room, unused)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < inf
