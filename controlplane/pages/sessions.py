"""Who is signed in, in a cookie that only consoles with the same secret can have made.

Nothing is kept between requests but which sessions were ended here, so that any console serves any session, also after
a restart. A session that was ended by signing out is refused by the console that was told; elsewhere a copy of its
cookie would be good until it expires.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from controlplane.zone_service import ApiKeyView

COOKIE: Final = "zonegate_session"

IDLE_SECONDS: Final = 3600.0
"""Without a request."""

LONGEST_SECONDS: Final = 12 * 3600.0
"""A working day; then one signs in again."""

RENEW_SECONDS: Final = 60.0
"""A cookie that is younger isn't made anew."""

MAX_COOKIE: Final = 1024


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    key_id: str
    """Of the API key that opened it; empty for the admin."""
    name: str
    """Of the key, or of the admin."""
    began: float
    """Unix seconds."""
    seen: float

    @property
    def caller(self) -> ApiKeyView:
        """Whom the audit log names: the API key, or the admin by the name alone."""
        return ApiKeyView(self.key_id, self.name, "")


class Sessions:
    """Makes and reads the cookies of one console. Times are Unix seconds."""

    def __init__(self, secret: bytes, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._clock = clock
        self._ended: dict[str, float] = {}

    def begin(self, key_id: str, name: str) -> Session:
        now = self._clock()
        return Session(secrets.token_hex(16), key_id, name, now, now)

    def cookie(self, session: Session) -> str:
        payload = _encoded(json.dumps([session.id, session.key_id, session.name, session.began, session.seen]).encode())
        return f"{payload}.{self._tag('session', payload)}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None for one that is over, ended, or none of ours."""
        payload, _, tag = cookie.partition(".")
        if len(cookie) > MAX_COOKIE or not hmac.compare_digest(tag.encode(), self._tag("session", payload).encode()):
            return None
        session = Session(*json.loads(_decoded(payload)))
        now = self._clock()
        over = now - session.seen > IDLE_SECONDS or now - session.began > LONGEST_SECONDS
        return None if over or session.id in self._ended else session

    def renewed(self, session: Session) -> Session | None:
        """The same, seen now; None where its cookie is still young."""
        now = self._clock()
        return replace(session, seen=now) if now - session.seen > RENEW_SECONDS else None

    def end(self, session: Session) -> None:
        now = self._clock()
        self._ended = {each: until for each, until in self._ended.items() if until > now}
        self._ended[session.id] = session.began + LONGEST_SECONDS

    def csrf_token(self, session: Session) -> str:
        """What a form of this session must bring, and a page of another site can't know."""
        return self._tag("csrf", session.id)

    def is_csrf_token(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.csrf_token(session).encode(), token.encode("utf-8", "replace"))

    def _tag(self, purpose: str, text: str) -> str:
        message = f"{purpose}:{text}".encode("utf-8", "surrogatepass")
        return _encoded(hmac.digest(self._secret, message, hashlib.sha256))


def session_secret(*parts: str) -> bytes:
    """From what opens the console: whoever changes one of these ends all sessions."""
    whole = json.dumps(parts).encode()
    return hmac.digest(b"zonegate console sessions", whole, hashlib.sha256)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
