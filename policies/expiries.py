"""Which credentials' time has come since somebody last looked."""

from collections.abc import Iterable
from operator import attrgetter

from policies.credentials import Credential


class Expiries:
    """Of these credentials, those that are still valid now. Each is told of once."""

    def __init__(self, credentials: Iterable[Credential], now: float) -> None:
        self._ahead: list[Credential] = []
        self.apply((), credentials, now)

    def apply(self, before: Iterable[Credential], after: Iterable[Credential], now: float) -> None:
        """These have taken the place of those, as an edit has it."""
        gone, more = {each.id for each in before}, [each for each in after if each.valid_at(now)]
        if gone or more:
            kept = [each for each in self._ahead if each.id not in gone]
            ahead = [each for each in (*kept, *more) if each.expires is not None]
            self._ahead = sorted(ahead, key=attrgetter("expires"), reverse=True)

    def passed(self, now: float) -> list[Credential]:
        """The next ones that have expired by now, in their order."""
        passed = []
        while self._ahead and not self._ahead[-1].valid_at(now):
            passed.append(self._ahead.pop())
        return passed
