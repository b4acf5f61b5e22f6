"""What the tests ask of a client library, so that one scenario is played by all of them.

Each method opens a client of its own and closes it: what a client must remember is in the cluster. Refusals are raised
as Refused with Kafka's error code, whatever the library calls it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.integration.world import Account

CLIENT_SECONDS = 20.0
"""For anything that a client does; all of it takes a fraction of this unless something is wrong."""

UNKNOWN_TOPIC = 3
TOPIC_AUTHORIZATION_FAILED = 29

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True, order=True)
class Record:
    topic: str
    partition: int
    offset: int
    value: str


class Refused(Exception):
    """The other side answered with an error; `code` is Kafka's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error code {code}")
        self.code = code


class NotAuthenticated(Exception):
    """User name or password were not accepted."""


def python_settings(account: Account, client_id: str) -> dict[str, Any]:
    """How a partner signs in with the libraries that spell settings as Python arguments."""
    return {
        "bootstrap_servers": account.bootstrap,
        **account.security.python(account.user, account.password),
        "client_id": client_id,
    }


class Client(Protocol):
    """One library, as one partner."""

    name: str
    idempotent: bool
    """Whether the library has an idempotent producer."""

    def __init__(self, account: Account) -> None: ...

    def topics(self) -> dict[str, int]:
        """Every topic with its number of partitions."""

    def produce(
        self,
        topic: str,
        values: Sequence[str],
        *,
        acks: str = "all",
        compression: str = "none",
        idempotent: bool = False,
        timestamp: int | None = None,
    ) -> None:
        """Returns when all are acknowledged (with acks=0: sent)."""

    def consume(
        self, topics: Sequence[str], count: int, *, group: str | None = None, partitions: int = 2
    ) -> list[Record]:
        """Records from the beginning, or from where the group has committed; commits at the end, with a group."""

    def consume_from(self, positions: Mapping[Partition, int], count: int) -> list[Record]:
        """Records from these offsets on, all by one consumer."""

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int | None]:
        """Of each of the two partitions, the first offset that is not older."""


def missing(deadline_passed: bool, found: Sequence[Record], count: int) -> None:
    """Fails when a consumer's time is over and records are missing."""
    assert not deadline_passed, f"{len(found)} of {count} records: {found[:20]}"
