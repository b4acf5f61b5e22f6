"""What every SASL mechanism is, and what it says of a client's token."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from policies.credentials import Credential

FAILURE_TEXT: Final = "Authentication failed: Invalid username or password"
"""Kafka's own words, the same whether the user exists or not."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who has signed in, and how."""

    zone: str
    username: str
    mechanism: str
    credential: Credential | None = None
    expires: float | None = None
    """When the proof ends to be one, in seconds of Unix time; None is never."""
    passthrough: bool = False
    """True for the admin, who sees the cluster as it is; `zone` is then `PASSTHROUGH`, which no zone is called."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The conversation goes on: this goes to the client."""

    token: bytes
    failure: str = ""
    """The reason of a refusal, where the mechanism has the client confirm it before it is one."""
    username: str = field(default="", repr=False, compare=False)
    """As in `Refused`."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client is this one; the token goes to it with the good news."""

    principal: Principal
    token: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is a word for log, metric and audit; the client is told `text` and no more.

    None stands for Kafka's words for what has none of its own, which say the mechanism and nothing else.
    """

    reason: str
    text: str | None = FAILURE_TEXT
    username: str = field(default="", repr=False, compare=False)
    """As the client sent it, where it could be read: for the audit, which shows it only when it is an account's."""


Step = Challenge | Accepted | Refused


class Conversation(Protocol):
    """One client's sign-in."""

    def step(self, token: bytes, now: float) -> Step:
        """The answer to the client's next token; `now` is Unix time. Raises nothing, whatever the token."""


class Mechanism(Protocol):
    """One way to sign in, as a listener offers it."""

    @property
    def name(self) -> str: ...

    def begin(self) -> Conversation: ...
