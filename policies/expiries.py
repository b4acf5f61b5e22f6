"""Which credentials' time has come since somebody last looked."""

from collections.abc import Iterable
from operator import attrgetter

from policies.credentials import Credential


class Expiries:
    """Of these credentials, those that are still valid now. Each is told of once."""

    def __init__(self, credentials: Iterable[Credential], now: float) -> None:
        ahead = (each for each in credentials if each.expires is not None and each.valid_at(now))
        self._ahead = sorted(ahead, key=attrgetter("expires"), reverse=True)

    def passed(self, now: float) -> list[Credential]:
        """The next ones that have expired by now, in their order."""
        passed = []
        while self._ahead and not self._ahead[-1].valid_at(now):
            passed.append(self._ahead.pop())
        return passed
