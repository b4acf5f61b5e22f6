"""What the HTTP interfaces have in common: how they refuse, whom they speak to, and how much they take at once."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fastapi import Request
from fastapi.responses import JSONResponse


class HttpProblem(Exception):
    """A request that is refused. People read `cause`, or `msg`, or `title`: the first that there is."""

    def __init__(
        self, status: int, title: str, msg: str = "", cause: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.msg = msg
        self.cause = cause
        self.headers = dict(headers or {})

    @property
    def answer(self) -> JSONResponse:
        """As the interfaces give all their errors."""
        fields = {"title": self.title, "msg": self.msg, "cause": self.cause}
        return JSONResponse({name: text for name, text in fields.items() if text}, self.status, self.headers)


class Turnstile:
    """Lets in a bounded number of requests at once, for each of those that are told apart."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._present: Counter[str] = Counter()

    def check(self, who: str = "") -> None:
        """Raises HttpProblem while no more of these may enter."""
        if self._present[who] >= self._at_once:
            raise HttpProblem(
                429, "Too Many Requests", "Try again in a moment.", "too many at once", {"retry-after": "1"}
            )

    @contextmanager
    def enter(self, who: str = "") -> Iterator[None]:
        """For as long as a request is looked at, the wait for its refusal included."""
        self.check(who)
        self._present[who] += 1
        try:
            yield
        finally:
            self._present[who] -= 1
            if not self._present[who]:
                del self._present[who]  # whoever comes once is not remembered for ever


def peer(request: Request) -> str:
    """The address at the other end of the connection. What headers say of it is not believed."""
    return request.client.host if request.client is not None else ""


async def read_body(request: Request, limit: int) -> bytes | None:
    """The whole body; None when it is longer than the limit, of which no more is kept."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and len(announced) < 20 and int(announced) > limit:
        return None
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
