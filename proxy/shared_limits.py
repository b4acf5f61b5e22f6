"""This process's side of limits that it shares with others: tells what it needs, takes the parts that it is granted.

The rules of sharing, the messages and why the parts never add up to more than the limit are in `policies.shares`. What
a process needs of a limit is told as a part of it, for each limiter that is in use:

* what its connections use, and what fills half of the stock within RECOVERY_SECONDS and pays their debts within
  PAYMENT_SECONDS. So a part settles where the stock neither runs dry nor over, and none of the limit lies idle;
* where all is used, twice of what it has, so that it grows until there is enough, or others need it as much.

Its weight stands for the connections that use the limit. Where debts are paid all the time, it is the mean number of
debtors: every one of them is paid at part / weight, so equal weights per part are equal rates for all connections,
wherever they are, and those which use less are in debt for less of the time. Where there are no debts, it is the square
of all that is used divided by the sum of the connections' squares (Kish's effective number): never less than what
connections count for that use no more than their equal part.

Not thread-safe, and does no I/O: whoever owns it sends and receives.
"""

import secrets
from collections.abc import Callable, Iterator
from math import exp, floor, inf
from time import monotonic
from typing import Any, Final

from policies.fair_bucket import Account
from policies.shares import FLOOR, LEASE_SECONDS, floor_part
from proxy.traffic import Clock, Kind, Limiter, Usage
from proxy.zones import ZoneRegistry

RECOVERY_SECONDS: Final = 1.0
"""Some reports' time: faster would overshoot."""

PAYMENT_SECONDS: Final = 0.25
"""One report's time: somebody waits for it."""

SMOOTHING_SECONDS: Final = 0.5
"""Over which usage is averaged: two reports or more, as requests come in lumps."""

MEMORY_SECONDS: Final = 2.0
"""Over which connections' usages are compared: a slow client sends a batch every second or so."""

IDLE_SECONDS: Final = 10.0
"""A limiter is in use for so long after its last charge, so that a consumer that polls an idle topic keeps its part."""

REPORT_SECONDS: Final = 0.2
"""A report within this time of a full one is about urgent limiters only. Full ones are due every 0.25 s."""

URGENT_PER_SECOND: Final = 20.0
URGENT_AT_ONCE: Final = 5.0
"""Urgent reports: one to ask, one to acknowledge, and some more until a share is found."""

CARRY_SECONDS: Final = 0.5
"""What came in unused may be used elsewhere, if it is of the last time of this length: two reports."""

SELDOM: Final = 0.05
"""Of the time: who is in debt for less has no use for what others leave, beyond its debts."""

STEP: Final = 0.1
"""A share that changes by this part is acknowledged at once: others wait for it, or it may need to grow on."""

Message = dict[str, Any]


class _Use:
    """One limiter that is in use here."""

    __slots__ = (
        "asked",
        "by_account",
        "charged_at",
        "debtors",
        "indebted",
        "limit",
        "limiter",
        "measured_at",
        "need",
        "returned",
        "room",
        "taken",
        "unused",
        "usage",
        "used",
        "weight",
    )

    def __init__(self, limiter: Limiter, taken: int, now: float) -> None:
        self.limiter = limiter
        self.taken = taken
        """The number of the last grant, or of one before which none is taken."""
        self.charged_at = -inf
        self.asked = False
        """Whether the last report said that there are debts."""
        self.returned = False
        """Whether a report has told of what it had in stock when its last share ended."""
        self.limit = limiter.limit
        """By which it was measured last."""
        self.by_account: dict[Account, float] = {}
        self.used = self.debtors = self.indebted = 0.0
        self.need = self.weight = self.unused = self.room = 0.0
        self.usage = limiter.usage()
        self.measured_at = now

    def measure(self, limit: float, burst_seconds: float, now: float) -> None:
        """Find need and weight, from what has happened since the last time."""
        usage, before, elapsed = self.limiter.usage(), self.usage, now - self.measured_at
        self.asked = usage.debt > 0
        self.unused = 0.0
        if elapsed > 0:
            self._average(usage, before, elapsed, limit)
            self.usage, self.measured_at = usage, now
            self.limit = limit
        part, level = self.limiter.part, (usage.stock - usage.debt) / limit
        grown = (1 - self.indebted) * self.used + self.indebted * 2 * part
        # with next to no debts it has enough as it is, once they are paid
        self.room = max((part * burst_seconds if self.indebted > SELDOM else 0.0) - level, 0.0)
        missing = self.used * burst_seconds / 2 - usage.stock / limit
        self.need = grown + missing / RECOVERY_SECONDS + usage.debt / limit / PAYMENT_SECONDS
        self.weight = self.debtors + (1 - self.indebted) * self._effective_connections()

    def _average(self, usage: Usage, before: Usage, elapsed: float, limit: float) -> None:
        fresh = 1 - exp(-elapsed / SMOOTHING_SECONDS)
        paid = usage.charged - usage.debt - before.charged + before.debt
        self.used += fresh * (max(paid, 0.0) / elapsed / limit - self.used)
        self.debtors += fresh * ((usage.debtor_seconds - before.debtor_seconds) / elapsed - self.debtors)
        indebted = min((usage.indebted_seconds - before.indebted_seconds) / elapsed, 1.0)
        self.indebted += fresh * (indebted - self.indebted)
        # what came in under another limit would be worth more, or less, than it was
        unused = usage.unused - before.unused if limit == self.limit else 0.0
        self.unused = unused * min(CARRY_SECONDS / elapsed, 1.0) / limit
        kept = exp(-elapsed / MEMORY_SECONDS)
        most = max(self.by_account.values(), default=0.0)
        self.by_account = {a: units * kept for a, units in self.by_account.items() if units > most * 1e-3}

    def _effective_connections(self) -> float:
        squares = sum(units * units for units in self.by_account.values())
        return sum(self.by_account.values()) ** 2 / squares if squares > 0 else 0.0


class SharedLimits:
    """All limits of this process, shared with others: `processes` in all. Make it before there are zones.

    Its owner calls `tick` and sends `report` about every 0.25 s, sends one whenever `on_urgent` is called, and hands
    what is received to `take`. `on_urgent` comes while a request is being charged: it may report, but not take.
    """

    def __init__(self, registry: ZoneRegistry, processes: int, clock: Clock = monotonic) -> None:
        self.floor = floor_part(processes)
        # where nobody else has a need; where somebody has, the first grant tells
        self.expected = 1.0 - FLOOR + self.floor
        self._little = 0.5 / processes
        self.on_urgent: Callable[[], None] | None = None
        self._registry = registry
        self._clock = clock
        self._process = secrets.token_hex(8)
        self._uses: dict[Limiter, _Use] = {}
        self._urgent: dict[_Use, None] = {}
        self._called = False
        self._allowance, self._allowed_at = URGENT_AT_ONCE, clock()
        self._number = 0
        self._sent: dict[int, float] = {}
        self._full_at = -inf
        self._newest = 0
        """The highest number of a grant."""
        registry.share_limits(self)

    # what the limiters tell

    def charged(self, limiter: Limiter, account: Account, units: float, wait: float) -> None:
        use = self._uses.get(limiter) or self._use(limiter, self._newest)
        use.charged_at = self._clock()
        use.returned = False
        use.by_account[account] = max(use.by_account.get(account, 0.0) + units, 0.0)
        # where there is some share already, as with modest clients' short debts, the next report is soon enough
        if wait > 0 and not use.asked and limiter.part < self._little:
            use.asked = True
            self._urgent[use] = None
            self._call()

    def _use(self, limiter: Limiter, taken: int) -> _Use:
        use = self._uses[limiter] = _Use(limiter, taken, self._clock())
        return use

    def _call(self) -> None:
        """Ask for a report, unless there have been too many."""
        if self._called or self.on_urgent is None:
            return
        now = self._clock()
        earned = (now - self._allowed_at) * URGENT_PER_SECOND
        self._allowance, self._allowed_at = min(self._allowance + earned, URGENT_AT_ONCE), now
        if self._allowance >= 1:
            self._allowance -= 1
            self._called = True
            self.on_urgent()

    # what the owner calls

    def tick(self) -> None:
        """Forget what is gone."""
        for limiter, use in list(self._uses.items()):
            if limiter.limit is None or self._limiter(limiter.zone, limiter.kind) is not limiter:
                # what it held is given up at once: no report tells of it any more
                limiter.use_share(self.floor, self.expected, inf)
                self._drop(use)
            elif use.returned and limiter.part == self.floor:
                self._drop(use)

    def _drop(self, use: _Use) -> None:
        del self._uses[use.limiter]
        self._urgent.pop(use, None)

    def report(self) -> Message | None:
        """What the divider should know now; None without any limits."""
        now = self._clock()
        self._called = False
        uses: Iterator[_Use] | list[_Use] = list(self._uses.values())
        if self._urgent and now - self._full_at < REPORT_SECONDS:
            uses = list(self._urgent)
        elif not self._registry.has_limits and not uses:
            return None
        else:
            self._full_at = now
        self._urgent.clear()
        limits: dict[str, dict[str, list[float]]] = {}
        for use in uses:
            if use.limiter.limit is not None:
                limits.setdefault(use.limiter.zone, {})[use.limiter.kind.value] = self._entry(use, now)
        self._number += 1
        self._sent = {number: at for number, at in self._sent.items() if now - at < LEASE_SECONDS}
        self._sent[self._number] = now
        return {"process": self._process, "number": self._number, "limits": limits}

    def _entry(self, use: _Use, now: float) -> list[float]:
        limiter = use.limiter
        assert limiter.limit is not None
        use.measure(limiter.limit, limiter.burst_seconds, now)
        room, unused = floor(use.room * 1e6) / 1e6, floor(use.unused * 1e6) / 1e6
        if now - use.charged_at > IDLE_SECONDS and not use.usage.debt:
            use.returned = limiter.part == self.floor
            return [use.taken, 0, 0, 0, unused]
        # never nothing, or it would count as idle; more than all is no use
        need = min(max(use.need, self.floor), 1.0)
        return [use.taken, round(need, 6), round(use.weight, 3), room, unused]

    def take(self, message: Message) -> None:
        """A grant. Whatever isn't one for this process is ignored."""
        number, answers = message.get("number"), message.get("answers")
        if message.get("process") != self._process or not isinstance(number, int) or not isinstance(answers, int):
            return
        until = self._sent.get(answers, -inf) + LEASE_SECONDS
        if until <= self._clock():
            return
        for limiter, part, expected, handed in self._shares(message.get("shares")):
            use = self._uses.get(limiter) or self._use(limiter, self._newest)
            if number <= use.taken:
                continue
            before, use.taken = limiter.part, number
            limiter.use_share(max(part, self.floor), expected, until)
            if handed > 0:
                limiter.add(handed * (limiter.limit or 0.0))
            if abs(part - before) > STEP * before:
                self._urgent[use] = None
        self._newest = max(self._newest, number)
        if self._urgent:
            self._call()

    def _shares(self, shares: object) -> Iterator[tuple[Limiter, float, float, float]]:
        """The valid ones of a grant: limiter, part, expected, handed."""
        for zone, kinds in shares.items() if isinstance(shares, dict) else ():
            for kind, share in kinds.items() if isinstance(kinds, dict) else ():
                limiter = self._limiter(zone, kind)
                if limiter is not None and limiter.limit is not None and _is_share(share):
                    yield limiter, share[0], share[1], share[2]

    def _limiter(self, zone: str, kind: str) -> Limiter | None:
        state = self._registry.zones.get(zone)
        return state.traffic[Kind(kind)] if state is not None and kind in _KINDS else None


_KINDS: Final = frozenset(kind.value for kind in Kind)


def _is_share(share: object) -> bool:
    return (
        isinstance(share, list)
        and len(share) == 3
        and all(isinstance(part, int | float) and 0 <= part < inf for part in share)
        and max(share[:2]) <= 1
    )
