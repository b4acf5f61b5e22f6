"""A token bucket that many accounts share fairly: whoever overdraws it pays its own debt back, at an equal share.

Tokens come in at the rate. A charge first takes what is in the bucket; the rest becomes the debt of its account. While
there are debts, what comes in pays them back, in equal parts to all who are in debt, and only what is left fills the
bucket, up to the burst. So every charge is accepted at once, whatever its size; over any time no more is charged than
rate * time + burst + what is owed at its end; and an account that asks for less than its equal part is never in debt
for longer than its own last charge takes, whatever the others owe.

This is processor sharing, kept in virtual time (Parekh and Gallager's GPS): the virtual clock advances by what each
debtor is paid, an account's debt is the distance from there to its `due`, and who is due first has paid first. The
debtors stand in a sorted list, so there is nothing to clean up behind a debt that grows or shrinks.

Pure: the clock, monotonic and in seconds, is an argument. What a token is worth, a byte or a commit, the caller knows.
"""

from bisect import bisect_left, insort
from math import fsum, inf
from typing import Final

ROUNDING_SECONDS: Final = 1e-6
"""A shorter wait is none: it is what a clock's floating point numbers leave over, and no timer is as exact."""

MAX_VIRTUAL: Final = 2.0**20
"""The virtual clock starts again from here, which keeps its steps exact to a billionth of a token however long the
debts go on."""


class Account:
    """One debtor. It belongs to one bucket, which alone reads and writes it."""

    __slots__ = ("due",)

    def __init__(self) -> None:
        self.due: float | None = None
        """The virtual time at which it has paid; None without debt."""


class FairBucket:
    """`rate` tokens per second, `burst` tokens at most in stock. It begins full."""

    __slots__ = (
        "_burst",
        "_debt",
        "_debtors",
        "_now",
        "_orphans",
        "_rate",
        "_tokens",
        "_virtual",
        "_waited",
        "debtor_seconds",
        "indebted_seconds",
        "unused",
    )

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        """In stock; none while there are debts."""
        self._now = now
        self._virtual = 0.0
        self._debt = 0.0
        self._debtors: list[tuple[float, int, Account]] = []
        """(due, id, account), sorted; the id only tells those apart that are due at the same time."""
        self._orphans: dict[Account, None] = {}
        self._waited = 0.0
        self.debtor_seconds = 0.0
        """Each second counted as often as there were accounts in debt, used or not, since the beginning."""
        self.indebted_seconds = 0.0
        """Each second counted once in which there were any."""
        self.unused = 0.0
        """Tokens for which there was no room, since the beginning."""

    @property
    def rate(self) -> float:
        return self._rate

    def waiting(self, now: float) -> int:
        """Accounts in debt that somebody uses."""
        self._advance(now)
        return len(self._debtors) - len(self._orphans)

    def waited(self, now: float) -> float:
        """Seconds that these have been in debt, each second of each of them counted once, since the beginning."""
        self._advance(now)
        return self._waited

    @property
    def debt(self) -> float:
        """What is owed by all accounts, as of the last call that had the time."""
        return self._debt

    @property
    def stock(self) -> float:
        """The tokens in stock, as of then."""
        return self._tokens

    def settle(self, now: float) -> None:
        """Let come in what has come in since the last call."""
        self._advance(now)

    def open(self, now: float) -> Account:
        """An account for somebody who comes; with the debt of somebody who has left without having paid, if there is
        one, so that coming again is no way out."""
        self._advance(now)
        return self._orphans.popitem()[0] if self._orphans else Account()

    def leave(self, account: Account, now: float) -> None:
        """Nobody uses the account any more; what it owes is still paid back."""
        self._advance(now)
        if account.due is not None:
            self._orphans[account] = None

    def charge(self, account: Account, tokens: float, now: float) -> None:
        """Take so many tokens, on credit where there are none."""
        self._advance(now)
        if tokens <= self._tokens:
            self._tokens -= tokens
            return
        owed = tokens - self._tokens
        self._tokens = 0.0
        self._debt += owed
        self._put(account, (self._virtual if account.due is None else account.due) + owed)

    def refund(self, account: Account, tokens: float, now: float) -> None:
        """Give back what was charged too much: off the account's debt, the rest as if it came in."""
        self._advance(now)
        if account.due is not None:
            off = min(account.due - self._virtual, tokens)
            tokens -= off
            self._debt -= off
            if account.due - off > self._virtual:
                self._put(account, account.due - off)
            else:
                self._settle(account)
        self._take_in(tokens)

    def wait(self, account: Account, now: float, rate: float | None = None) -> float:
        """Seconds until the account has paid, if nobody charges any more; 0 without debt.

        At most this long, exactly so with debts that are alike, and never beyond the time when all is paid: so waiting
        for it leaves no token unused. `rate` stands in for the bucket's own, which may be about to change.
        """
        self._advance(now)
        if account.due is None:
            return 0.0
        owed = min(self._debt, (account.due - self._virtual) * len(self._debtors))
        rate = self._rate if rate is None else rate
        if owed <= rate * ROUNDING_SECONDS:
            return 0.0
        return owed / rate if rate > 0 else inf

    def owed(self, account: Account, now: float) -> float:
        """What the account owes."""
        self._advance(now)
        return 0.0 if account.due is None else account.due - self._virtual

    def debtors(self, now: float) -> list[Account]:
        """All accounts in debt, whoever owes least first."""
        self._advance(now)
        return [account for _, _, account in self._debtors]

    def change(self, rate: float, burst: float, now: float) -> None:
        """Another rate and burst from now on; debts stay."""
        self._advance(now)
        self._rate = rate
        self._burst = burst
        self._stock(self._tokens)

    def add(self, tokens: float, now: float) -> None:
        """Tokens from elsewhere, as if they had come in at the rate."""
        self._advance(now)
        self._take_in(tokens)

    def fill(self) -> None:
        """As much in stock as there may be. Only without debts."""
        assert not self._debtors
        self._tokens = self._burst

    def forgive(self, now: float) -> None:
        """All debts are void."""
        self._advance(now)
        for _, _, account in self._debtors:
            account.due = None
        self._debtors.clear()
        self._orphans.clear()
        self._debt = self._virtual = 0.0

    def _put(self, account: Account, due: float) -> None:
        """Into its place among the debtors."""
        if account.due is not None:
            self._remove(account, account.due)
        account.due = due
        insort(self._debtors, (due, id(account), account))

    def _remove(self, account: Account, due: float) -> None:
        del self._debtors[bisect_left(self._debtors, (due, id(account), account))]

    def _settle(self, account: Account) -> None:
        assert account.due is not None
        self._remove(account, account.due)
        account.due = None
        self._orphans.pop(account, None)
        if not self._debtors:
            self._debt = self._virtual = 0.0

    def _advance(self, now: float) -> None:
        """Let come in what has come in since the last call. A clock that stands still or goes back brings nothing."""
        elapsed = now - self._now
        if elapsed <= 0:
            return
        self._now = now
        self._take_in(elapsed * self._rate, elapsed)

    def _take_in(self, tokens: float, seconds: float = 0.0) -> None:
        """Pay debts back with what came in during that time, and put the rest in stock."""
        while self._debtors:
            due, _, account = self._debtors[0]
            needed = (due - self._virtual) * len(self._debtors)
            if needed > tokens:
                self._count(seconds)
                self._virtual += tokens / len(self._debtors)
                self._debt -= tokens
                if self._virtual > MAX_VIRTUAL:
                    self._restart_clock()
                return
            if tokens:
                until_paid = seconds * (needed / tokens)
                self._count(until_paid)
                seconds -= until_paid
            tokens -= needed
            self._virtual = due
            self._debt -= needed
            self._settle(account)
        self._stock(self._tokens + tokens)

    def _stock(self, tokens: float) -> None:
        self._tokens = min(tokens, self._burst)
        self.unused += tokens - self._tokens

    def _count(self, seconds: float) -> None:
        """So long the debtors have been the same."""
        self._waited += seconds * (len(self._debtors) - len(self._orphans))
        self.debtor_seconds += seconds * len(self._debtors)
        self.indebted_seconds += seconds

    def _restart_clock(self) -> None:
        debtors = []
        for due, number, account in self._debtors:
            account.due = due - self._virtual
            debtors.append((account.due, number, account))
        # rounding may have made two of them equal
        debtors.sort()
        self._debtors = debtors
        self._debt = fsum(due for due, _, _ in debtors)
        self._virtual = 0.0
