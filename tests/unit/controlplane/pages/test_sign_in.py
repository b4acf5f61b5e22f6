"""Signing in and out, and what keeps others from doing it for somebody."""

import httpx
import pytest
from starlette.applications import Starlette

from controlplane.pages.app import create_pages
from controlplane.pages.sessions import COOKIE, IDLE_SECONDS, LONGEST_SECONDS
from tests.unit.controlplane.api.conftest import Lines
from tests.unit.controlplane.api.memory_service import KEY, KEY_VIEW, MemoryService
from tests.unit.controlplane.pages.conftest import ADMIN, Browser, Clock
from tests.unit.controlplane.pages.memory_activity import MemoryActivity


async def test_whoever_is_not_signed_in_is_asked_to_and_comes_back(stranger: Browser) -> None:
    answer = await stranger.open("/zones?search=shop")
    assert answer.url.path == "/sign-in"
    answer = await stranger.send("/sign-in", {"key": KEY, "next": answer.url.params["next"]})
    assert str(answer.url).endswith("/zones?search=shop")


async def test_the_cookie_is_for_pages_of_this_console_alone(stranger: Browser) -> None:
    stranger.http.follow_redirects = False
    answer = await stranger.send("/sign-in", {"key": KEY})
    attributes = answer.headers["set-cookie"].lower()
    assert "httponly" in attributes and "samesite=lax" in attributes and "secure" not in attributes
    behind_tls = await stranger.http.post(
        "/sign-in", data={"key": KEY}, headers={"x-forwarded-proto": "https", "sec-fetch-site": "same-origin"}
    )
    assert "secure" in behind_tls.headers["set-cookie"].lower()


@pytest.mark.parametrize("key", ["", "wrong", "wrong" * 1000, "schlüssel"])
async def test_a_wrong_key_is_refused_and_told_to_the_audit_log(stranger: Browser, lines: Lines, key: str) -> None:
    answer = await stranger.send("/sign-in", {"key": key})
    assert answer.status_code == 401 and "The API key is wrong" in answer.text
    assert COOKIE not in stranger.http.cookies
    assert [(line["event"], line["reason"]) for line in lines.all] == [("api_authentication", "wrong_key")]


async def test_the_admin_signs_in_with_a_password(stranger: Browser, lines: Lines) -> None:
    fields = {"by": "admin", "username": ADMIN.username, "password": "another"}
    answer = await stranger.send("/sign-in", fields)
    assert answer.status_code == 401 and 'value="admin"' in answer.text and "another" not in answer.text
    answer = await stranger.send("/sign-in", fields | {"password": ADMIN.password})
    assert answer.url.path == "/zones"
    assert lines.all[-1] == {
        "event": "console_session",
        "action": "sign_in",
        "admin": "admin",
        "peer_address": lines.all[-1]["peer_address"],
    }


async def test_without_an_admin_there_is_no_such_form(service: MemoryService, activity: MemoryActivity) -> None:
    browser = Browser(create_pages(service, activity, Lines(), KEY))
    assert "User name" not in (await browser.open("/sign-in")).text
    answer = await browser.send("/sign-in", {"by": "admin", "username": "", "password": ""})
    assert answer.status_code == 401


async def test_signing_out_ends_the_session_for_whoever_has_its_cookie(browser: Browser, lines: Lines) -> None:
    kept = browser.http.cookies[COOKIE]
    answer = await browser.send("/sign-out")
    assert answer.url.path == "/sign-in" and lines.all[-1]["action"] == "sign_out"
    browser.http.cookies.set(COOKIE, kept)
    assert (await browser.open("/zones")).url.path == "/sign-in"


async def test_a_session_lasts_while_it_is_used_and_a_day_at_most(browser: Browser, clock: Clock) -> None:
    clock.now += IDLE_SECONDS - 1
    assert (await browser.open("/zones")).url.path == "/zones"
    began = clock.now
    while clock.now - began < LONGEST_SECONDS - 2 * IDLE_SECONDS:
        clock.now += IDLE_SECONDS - 1
        assert (await browser.open("/zones")).url.path == "/zones"
    clock.now += IDLE_SECONDS + 1
    assert (await browser.open("/zones")).url.path == "/sign-in"


async def test_it_ends_with_its_key(stranger: Browser, service: MemoryService) -> None:
    view, key = await service.create_api_key("mine")
    await stranger.send("/sign-in", {"key": key})
    assert (await stranger.open("/zones")).url.path == "/zones"
    await service.delete_api_key(view.id)
    assert (await stranger.open("/zones")).url.path == "/sign-in"


async def test_another_secret_reads_no_cookie(browser: Browser, service: MemoryService) -> None:
    other = Browser(create_pages(service, MemoryActivity(), Lines(), "another-key-to-begin-with", ADMIN))
    other.http.cookies = browser.http.cookies
    assert (await other.open("/zones")).url.path == "/sign-in"


@pytest.mark.parametrize("cookie", ["", ".", "a.b", "x" * 5000, "WyJhIl0.", '"', "é.é"])
async def test_forged_cookies_are_nobodys(pages: Starlette, cookie: str) -> None:
    transport = httpx.ASGITransport(app=pages)
    async with httpx.AsyncClient(transport=transport, base_url="http://console:8080") as http:
        answer = await http.get("/zones", headers=[(b"cookie", f"{COOKIE}={cookie}".encode())])
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/zones\r\nx: y"]
)
async def test_signing_in_leads_nowhere_else(stranger: Browser, wanted: str) -> None:
    answer = await stranger.send("/sign-in", {"key": KEY, "next": wanted})
    assert answer.url.host == "console" and answer.url.path == "/zones"


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_form_without_the_token_does_nothing(browser: Browser, token: str) -> None:
    assert (await browser.send("/sign-out", token=token)).status_code == 403
    assert (await browser.open("/zones")).url.path == "/zones"


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}]
)
async def test_a_form_of_another_site_does_nothing(browser: Browser, headers: dict[str, str]) -> None:
    answer = await browser.http.post("/sign-out", data={"csrf": browser.token()}, headers=headers)
    assert answer.status_code == 403
    assert (await browser.http.post("/sign-in", data={"key": KEY}, headers=headers)).status_code == 403


async def test_the_secret_of_the_session_is_not_on_the_page(browser: Browser) -> None:
    await browser.open("/zones")
    assert KEY not in browser.page and KEY_VIEW.name in browser.page
