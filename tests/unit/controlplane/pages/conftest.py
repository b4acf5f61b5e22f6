"""The console's pages with a service in memory behind them, and a browser without JavaScript."""

import re
from collections.abc import Mapping, Sequence

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from controlplane.pages import sign_in
from controlplane.pages.app import create_pages
from controlplane.pages.sign_in import Admin
from tests.unit.controlplane.api.conftest import PEER, Lines
from tests.unit.controlplane.api.memory_service import KEY, MemoryService
from tests.unit.controlplane.pages.memory_activity import MemoryActivity

ADMIN = Admin("admin", "a-password-of-the-tests")
NOW = 1_763_760_000.0
"""2025-11-21, 21:20 UTC."""

Fields = Mapping[str, str] | Sequence[tuple[str, str]]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Browser:
    """Keeps cookies, follows redirects, and sends forms with the token of the page that was looked at last."""

    def __init__(self, app: ASGIApp) -> None:
        transport = httpx.ASGITransport(app=app, client=(PEER, 4711))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://console:8080", follow_redirects=True)
        self.page = ""

    async def open(self, path: str) -> httpx.Response:
        return self._saw(await self.http.get(path))

    async def send(self, path: str, fields: Fields = (), token: str | None = None) -> httpx.Response:
        """`token` in place of the page's own."""
        pairs = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
        csrf = self.token() if token is None else token
        data = httpx.QueryParams([*pairs, ("csrf", csrf)])
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return self._saw(await self.http.post(path, content=str(data), headers=headers))

    async def sign_in(self) -> None:
        answer = await self.send("/sign-in", {"key": KEY, "by": "key"})
        assert answer.url.path == "/zones", answer.text

    def token(self) -> str:
        found = re.search(r'name="csrf" value="([^"]*)"', self.page)
        return found[1] if found else ""

    def _saw(self, answer: httpx.Response) -> httpx.Response:
        self.page = answer.text
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def activity() -> MemoryActivity:
    return MemoryActivity()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def pages(
    service: MemoryService,
    activity: MemoryActivity,
    lines: Lines,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Starlette:
    monkeypatch.setattr(sign_in, "FAILURE_DELAY_SECONDS", 0)
    return create_pages(service, activity, lines, KEY, ADMIN, clock)


@pytest.fixture
def stranger(pages: Starlette) -> Browser:
    return Browser(pages)


@pytest.fixture
async def browser(stranger: Browser) -> Browser:
    """Signed in."""
    await stranger.sign_in()
    return stranger
