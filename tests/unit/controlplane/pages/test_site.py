"""The REST API and the pages at one address: each has its own paths, and its own way of knowing people."""

import pytest
from starlette.applications import Starlette

from controlplane.api.app import create_api
from controlplane.pages.app import Site
from tests.unit.controlplane.api.conftest import BEARER, ZONES, Lines
from tests.unit.controlplane.api.memory_service import KEY, MemoryService
from tests.unit.controlplane.pages.conftest import Browser


@pytest.fixture
def site(pages: Starlette, service: MemoryService, lines: Lines) -> Browser:
    return Browser(Site(create_api(service, lines), pages))


@pytest.mark.parametrize(
    "path", ["/versions", "/health/live", "/public/docs/docs.yaml", ZONES, f"/api{ZONES}", "/token/x"]
)
async def test_paths_of_the_api_are_answered_by_it(site: Browser, path: str) -> None:
    answer = await site.http.get(path, headers=BEARER)
    assert not answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/", "/sign-in", "/zones", "/apiary", "/public", "/token", "/tokens/x"])
async def test_all_others_are_pages(site: Browser, path: str) -> None:
    answer = await site.http.get(path, headers=BEARER)
    assert answer.headers["content-type"].startswith("text/html")


async def test_neither_takes_what_opens_the_other(site: Browser) -> None:
    assert (await site.http.get("/zones", headers=BEARER)).url.path == "/sign-in"
    await site.send("/sign-in", {"key": KEY})
    assert (await site.http.get("/zones")).url.path == "/zones"
    assert (await site.http.get(ZONES)).status_code == 401
