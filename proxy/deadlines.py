"""When a client connection has waited long enough: signing in, frames that have begun, silence, the end.

No clock and no connection here: `ClientSession` tells what happens and when, and asks whether something is overdue.
"""

from typing import Final

from proxy.close import CloseReason
from proxy.config import Limits

Overdue = tuple[CloseReason, str]

_NEVER: Final = 0.0


class Deadlines:
    """The times of one connection."""

    __slots__ = ("_closed", "_half_closed", "_limits", "_partial_bytes", "_partial_since", "last_active", "opened")

    def __init__(self, limits: Limits, opened: float) -> None:
        self.opened = opened
        self._limits = limits
        self.last_active = opened
        self._partial_since = self._half_closed = self._closed = _NEVER
        self._partial_bytes = 0

    # what happens

    def on_active(self, now: float) -> None:
        """The client has sent something, or taken what was to be written."""
        self.last_active = now

    def on_frame(self) -> None:
        """A frame is whole, or goes on as a stream."""
        self._partial_since = _NEVER

    def on_data(self, now: float, size: int, partial: bool) -> None:
        """So many bytes have come; `partial` when they end within a frame."""
        if not partial:
            self._partial_since = _NEVER
        elif self._partial_since:
            self._partial_bytes += size
        else:
            self._partial_since, self._partial_bytes = now, size

    def on_half_closed(self, now: float) -> None:
        """The client will send no more."""
        self._half_closed = now

    def on_closed(self, now: float) -> None:
        """We have closed the connection."""
        self._closed = now

    # what is overdue

    def must_be_cut_off(self, now: float) -> bool:
        """A closed connection whose peer doesn't take what was written to it."""
        return now - self._closed > self._limits.close_seconds

    def overdue(self, now: float, *, signed_in: bool, held: bool, idle: bool) -> Overdue | None:
        """Why the connection must end now. `held`: we don't read it; `idle`: nobody waits for anything of ours."""
        limits = self._limits
        if not signed_in and now - self.opened > limits.authentication_seconds:
            return CloseReason.AUTHENTICATION_DEADLINE, f"not signed in after {limits.authentication_seconds:g} s"
        if self._half_closed and now - self._half_closed > limits.half_closed_seconds:
            return CloseReason.HALF_CLOSED_DEADLINE, f"answers took longer than {limits.half_closed_seconds:g} s"
        if idle and now - self.last_active > limits.idle_seconds:
            return CloseReason.IDLE, f"nothing received or taken for {limits.idle_seconds:g} s"
        if held:
            # the client can't go on with a frame while we don't read
            self._partial_since = now if self._partial_since else _NEVER
        elif self._partial_since and now - self._partial_since > self._partial_allowance():
            return CloseReason.PARTIAL_FRAME_DEADLINE, f"{self._partial_bytes} bytes of a frame, then too slow"
        return None

    def _partial_allowance(self) -> float:
        limits = self._limits
        return limits.partial_frame_seconds + self._partial_bytes / limits.partial_frame_bytes_per_second
