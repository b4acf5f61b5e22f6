"""A token bucket that many accounts share fairly: whoever overdraws it pays its own debt back, at an equal share.

Tokens come in at the rate. A charge first takes what is in the bucket; the rest becomes the debt of its account. While
there are debts, what comes in pays them back, in equal parts to all who are in debt, and only what is left fills the
bucket, up to the burst. So every charge is accepted at once, whatever its size; over any time no more is charged than
rate * time + burst + what is owed at its end; and an account that asks for less than its equal part is never in debt
for longer than its own last charge takes, whatever the others owe.

This is processor sharing, kept in virtual time (Parekh and Gallager's GPS): the virtual clock advances by what each
debtor is paid, an account's debt is the distance from there to its `due`, and the next one to be paid is the head of a
heap. A charge costs O(log debtors).

Pure: the clock, monotonic and in seconds, is an argument. What a token is worth, a byte or a commit, the caller knows.
"""

import heapq
from math import inf


class Account:
    """One debtor. It belongs to one bucket."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = 0.0
        """The virtual time at which it has paid; 0 without debt."""


class FairBucket:
    """`rate` tokens per second, `burst` tokens at most in stock. It begins full."""

    __slots__ = (
        "_burst",
        "_debt",
        "_debtors",
        "_heap",
        "_now",
        "_orphans",
        "_pushed",
        "_rate",
        "_tokens",
        "_virtual",
        "debtor_seconds",
        "indebted_seconds",
        "unused",
    )

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._now = now
        self._virtual = 0.0
        self._debt = 0.0
        self._debtors = 0
        self._heap: list[tuple[float, int, Account]] = []
        """(due, number, account); an entry whose `due` isn't its account's any more is void."""
        self._pushed = 0
        self._orphans: dict[Account, None] = {}
        self.debtor_seconds = 0.0
        """Each second counted as often as there were debtors, since the beginning."""
        self.indebted_seconds = 0.0
        """The same, each counted once."""
        self.unused = 0.0
        """Tokens for which there was no room, since the beginning."""

    @property
    def rate(self) -> float:
        return self._rate

    @property
    def debtors(self) -> int:
        """Accounts in debt, as of the last call that had the time."""
        return self._debtors

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
        if account._due:
            self._orphans[account] = None

    def charge(self, account: Account, tokens: float, now: float) -> None:
        """Take so many tokens, on credit where there are none."""
        self._advance(now)
        stock = min(self._tokens, tokens)
        self._tokens -= stock
        owed = tokens - stock
        if owed <= 0:
            return
        if not account._due:
            self._debtors += 1
            account._due = self._virtual
        self._debt += owed
        self._set_due(account, account._due + owed)

    def refund(self, account: Account, tokens: float, now: float) -> None:
        """Give back what was charged too much: off the account's debt, the rest into the bucket."""
        self._advance(now)
        if account._due:
            off = min(account._due - self._virtual, tokens)
            tokens -= off
            self._debt -= off
            if account._due - off > self._virtual:
                self._set_due(account, account._due - off)
            else:
                self._settle(account)
        self._stock(self._tokens + tokens)

    def wait(self, account: Account, now: float, rate: float | None = None) -> float:
        """Seconds until the account has paid, if nobody charges any more; 0 without debt.

        At most this long, exactly so with debts that are alike, and never beyond the time when all is paid: so waiting
        for it leaves no token unused. `rate` stands in for the bucket's own, which may be about to change.
        """
        self._advance(now)
        if not account._due:
            return 0.0
        owed = min(self._debt, (account._due - self._virtual) * self._debtors)
        rate = self._rate if rate is None else rate
        return owed / rate if rate > 0 else inf

    def change(self, rate: float, burst: float, now: float) -> None:
        """Another rate and burst from now on; debts stay."""
        self._advance(now)
        self._rate = rate
        self._burst = burst
        self._stock(self._tokens)

    def add(self, tokens: float, now: float) -> None:
        """Tokens from elsewhere, as if they had come in at the rate."""
        self._advance(now)
        self._receive(tokens, inf)

    def fill(self) -> None:
        """As much in stock as there may be."""
        self._tokens = self._burst

    def forgive(self, now: float) -> None:
        """All debts are void."""
        self._advance(now)
        for _, _, account in self._heap:
            account._due = 0.0
        self._heap.clear()
        self._orphans.clear()
        self._debt = self._virtual = 0.0
        self._debtors = 0

    def _set_due(self, account: Account, due: float) -> None:
        account._due = due
        self._pushed += 1
        heapq.heappush(self._heap, (due, self._pushed, account))

    def _settle(self, account: Account) -> None:
        account._due = 0.0
        self._orphans.pop(account, None)
        self._debtors -= 1
        if not self._debtors:
            # a fresh start keeps the floating point numbers exact
            self._heap.clear()
            self._debt = self._virtual = 0.0

    def _advance(self, now: float) -> None:
        """Let come in what has come in since the last call. A clock that stands still or goes back brings nothing."""
        income = max(now - self._now, 0.0) * self._rate
        self._now = max(now, self._now)
        self._receive(income, self._rate)

    def _receive(self, income: float, rate: float) -> None:
        """Pay debts with it, and keep the rest."""
        while self._debtors and income > 0:
            due, _, account = self._heap[0]
            if due != account._due:
                heapq.heappop(self._heap)
                continue
            needed = (due - self._virtual) * self._debtors
            seconds = min(needed, income) / rate
            self.indebted_seconds += seconds
            self.debtor_seconds += seconds * self._debtors
            if needed > income:
                self._virtual += income / self._debtors
                self._debt -= income
                return
            heapq.heappop(self._heap)
            income -= needed
            self._virtual = due
            self._debt -= needed
            self._settle(account)
        self._stock(self._tokens + income)

    def _stock(self, tokens: float) -> None:
        self._tokens = min(tokens, self._burst)
        self.unused += tokens - self._tokens
