"""What every SASL mechanism is, and what it says of a client's token."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Challenge:
    """The conversation goes on: this goes to the client."""

    token: bytes
    failure: str = ""
    """The reason of a refusal, where the mechanism has the client confirm it before it is one."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The client is this one; the token goes to it with the good news."""

    principal: Principal
    token: bytes = b""


@dataclass(frozen=True, slots=True)
class Refused:
    """`reason` is a word for log, metric and audit; the client is told `text` and no more."""

    reason: str
    text: str = FAILURE_TEXT


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
