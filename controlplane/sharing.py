"""What the supervisor and its workers do about limits of zones, which all workers share.

Only here is said what the two sides must be able to do; the messages between them are theirs. A worker's side notes
what its zones need and applies what it is granted; the supervisor's side divides. Both are called in their event loops,
and never wait.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Message = dict[str, Any]
"""What JSON can hold."""


class Divider(Protocol):
    """The supervisor's side. `worker` is a number; one that starts again has left and joins anew."""

    def join(self, worker: int) -> None: ...

    def leave(self, worker: int) -> None: ...

    def report(self, worker: int, message: Message) -> None: ...

    def grants(self) -> Mapping[int, Message]:
        """What is to be sent now, by worker."""
        ...


class Shares(Protocol):
    """A worker's side."""

    on_urgent: Callable[[], None] | None
    """Called when a report should go out at once."""

    def report(self) -> Message | None: ...

    def take(self, message: Message) -> None: ...

    def tick(self) -> None:
        """Called with each report that is due."""
        ...
