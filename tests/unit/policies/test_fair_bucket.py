"""The fair bucket against a model that pays debts back piece by piece, in fractions, so that nothing is rounded."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from policies.fair_bucket import ROUNDING_SECONDS, Account, FairBucket

TOKENS = st.sampled_from([0.0, 1e-6, 1.0, 7.0, 1024.0, 1e12]) | st.floats(0, 1e6)
SECONDS = st.sampled_from([0.0, 1e-9, 0.001, 1.0, 3600.0, -1.0]) | st.floats(0, 10)
RATES = st.sampled_from([0.0, 1 / 60, 1.0, 1e6]) | st.floats(0.01, 1e4)


def owed(bucket: FairBucket, account: Account) -> float:
    return 0.0 if account.due is None else account.due - bucket._virtual


class Model:
    """What the bucket is to do, with no thought for cost: a stock, and a dict of debts."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = Fraction(rate)
        self.burst = self.stock = Fraction(burst)
        self.now = Fraction(0)
        self.debts: dict[Account, Fraction] = {}

    def advance(self, now: float) -> None:
        if now > self.now:
            self.take_in((Fraction(now) - self.now) * self.rate)
            self.now = Fraction(now)

    def take_in(self, tokens: Fraction) -> None:
        while tokens and self.debts:
            part = min(tokens / len(self.debts), *self.debts.values())
            tokens -= part * len(self.debts)
            self.debts = {account: debt - part for account, debt in self.debts.items() if debt > part}
        self.stock = min(self.stock + tokens, self.burst)

    def charge(self, account: Account, tokens: float) -> None:
        stock = min(self.stock, Fraction(tokens))
        self.stock -= stock
        if tokens > stock:
            self.debts[account] = self.debts.get(account, Fraction(0)) + Fraction(tokens) - stock

    def refund(self, account: Account, tokens: float) -> None:
        debt = self.debts.pop(account, Fraction(0))
        if debt > tokens:
            self.debts[account] = debt - Fraction(tokens)
        self.take_in(max(Fraction(tokens) - debt, Fraction(0)))

    def wait_tokens(self, account: Account) -> Fraction:
        """What has to come in until the account has paid: as much for each other debtor, or all that it owes."""
        mine = self.debts.get(account, Fraction(0))
        return sum((min(debt, mine) for debt in self.debts.values()), Fraction(0))


class BucketMachine(RuleBasedStateMachine):
    """Any sequence of calls, at any times."""

    accounts: Bundle[Account] = Bundle("accounts")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.bucket = FairBucket(10.0, 5.0, self.now)
        self.model = Model(10.0, 5.0)
        self.orphans: set[Account] = set()
        self.used: set[Account] = set()
        self.most_used = 0
        self.known: set[Account] = set()
        self.largest = 1.0

    @property
    def rounding(self) -> float:
        """What floating point numbers may have lost: they have 16 digits."""
        return 1e-12 * self.largest + 1e-9

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.largest = max(self.largest, self.now * float(self.model.rate))
        self.model.advance(self.now)

    @precondition(lambda self: len(self.used) < 12)
    @rule(target=accounts)
    def open(self) -> Account:
        account = self.bucket.open(self.now)
        if account in self.known:
            assert account in self.orphans
            self.orphans.remove(account)
        else:
            # a new one means that nobody has left a debt
            assert all(self.model.debts.get(orphan, 0) <= self.rounding for orphan in self.orphans)
            self.orphans.clear()
        self.known.add(account)
        self.used.add(account)
        self.most_used = max(self.most_used, len(self.used))
        return account

    @rule(account=consumes(accounts))
    def leave(self, account: Account) -> None:
        self.bucket.leave(account, self.now)
        self.used.remove(account)
        self.orphans.add(account)

    @rule(account=accounts, tokens=TOKENS)
    def charge(self, account: Account, tokens: float) -> None:
        self.largest = max(self.largest, tokens)
        self.bucket.charge(account, tokens, self.now)
        self.model.charge(account, tokens)

    @rule(account=accounts, tokens=TOKENS)
    def refund(self, account: Account, tokens: float) -> None:
        self.largest = max(self.largest, tokens)
        self.bucket.refund(account, tokens, self.now)
        self.model.refund(account, tokens)

    @rule(rate=RATES, burst=TOKENS)
    def change(self, rate: float, burst: float) -> None:
        self.bucket.change(rate, burst, self.now)
        self.model.rate, self.model.burst = Fraction(rate), Fraction(burst)
        self.model.stock = min(self.model.stock, self.model.burst)

    @rule(fill=st.booleans())
    def forgive(self, fill: bool) -> None:
        self.bucket.forgive(self.now)
        self.model.debts.clear()
        if fill:
            self.bucket.fill()
            self.model.stock = self.model.burst

    @invariant()
    def both_agree(self) -> None:
        assert 0 <= self.bucket.waiting(self.now) <= len(self.used)
        assert self.bucket._tokens == pytest.approx(float(self.model.stock), rel=0, abs=self.rounding)
        for account in self.known:
            debt = self.model.debts.get(account, Fraction(0))
            assert owed(self.bucket, account) == pytest.approx(float(debt), rel=0, abs=self.rounding)
            self.check_wait(account, self.bucket.wait(account, self.now))

    def check_wait(self, account: Account, wait: float) -> None:
        rounding = 12 * self.rounding + ROUNDING_SECONDS * float(self.model.rate)
        least, most = float(self.model.wait_tokens(account)), float(sum(self.model.debts.values()))
        if not self.model.rate:
            assert wait in (0.0, inf)
            assert wait == inf or least <= rounding
        else:
            assert least - rounding <= wait * float(self.model.rate) <= (most if least else 0.0) + rounding

    @invariant()
    def there_is_no_stock_beside_debts(self) -> None:
        assert not self.bucket._debtors or self.bucket._tokens == 0

    @invariant()
    def nothing_is_kept_that_is_of_no_use(self) -> None:
        debtors = [account for _, _, account in self.bucket._debtors]
        assert self.bucket._debtors == sorted((account.due, id(account), account) for account in debtors)
        assert set(debtors) == {account for account in self.known if account.due is not None}
        assert self.bucket._orphans.keys() == set(debtors) & self.orphans
        # those who come take over from those who left, so there are never more than there were at one time
        assert len(debtors) <= self.most_used
        assert self.bucket.waiting(self.now) == len(set(debtors) & self.used)


BucketMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAgainstTheModel = BucketMachine.TestCase
