"""What all pages have in common: headers, errors, files, and that whatever was stored is shown as text."""

import re

import pytest

from controlplane.partner_zone import PartnerZone
from controlplane.zone_service import ApiKeyView, Status, Unavailable
from tests.unit.controlplane.api.conftest import resource
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.conftest import Browser

HOSTILE = '"><script>alert(1)</script>'


@pytest.mark.parametrize("path", ["/zones", "/gateways", "/nothing", "/sign-in"])
async def test_no_page_lets_anything_in_from_elsewhere(browser: Browser, path: str) -> None:
    answer = await browser.open(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r'(src|href|action)="(https?:)?//', answer.text)
    assert not re.search(r"\s(style|on[a-z]+)=", answer.text)


async def test_files_are_kept_by_browsers_and_known_by_what_they_hold(browser: Browser) -> None:
    await browser.open("/zones")
    for path in re.findall(r'"(/static/[^"]+)"', browser.page):
        answer = await browser.http.get(path)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert re.search(r"\?[0-9a-f]{12}$", path)
    assert (await browser.open("/static/secrets.txt")).status_code == 404
    assert (await browser.open("/static/..%2fapp.py")).status_code == 404


async def test_what_people_have_written_is_shown_as_text(browser: Browser, service: MemoryService) -> None:
    hostile = resource(displayName=HOSTILE, description=HOSTILE, url=HOSTILE)
    hostile["metadata"]["labels"] = {HOSTILE: HOSTILE}
    await service.upsert(PartnerZone.model_validate(hostile))
    service.set_status("external-partner-zone", Status.FAILED, HOSTILE)
    for path in ("/zones", f"/zones?search={HOSTILE}"):
        answer = await browser.open(path)
        assert answer.status_code == 200 and "<script>alert" not in answer.text
        assert "&lt;script&gt;alert" in answer.text


async def test_what_is_not_there_is_said_on_a_page(browser: Browser) -> None:
    answer = await browser.open("/nothing")
    assert answer.status_code == 404 and "No page has this address" in answer.text
    assert (await browser.http.delete("/zones")).status_code == 405


async def test_a_mistake_of_ours_is_told_to_the_log_alone(
    browser: Browser, service: MemoryService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("a-secret-detail")

    monkeypatch.setattr(service, "gateways", fail)
    answer = await browser.open("/gateways")
    assert answer.status_code == 500 and "a-secret-detail" not in answer.text
    assert "a-secret-detail" in caplog.text


async def test_that_the_state_is_out_of_reach_is_on_every_page(browser: Browser, service: MemoryService) -> None:
    service.problem = "the brokers did not answer in time"
    for path in ("/zones", "/gateways"):
        assert "the brokers did not answer in time" in (await browser.open(path)).text


async def test_only_forms_are_taken_and_no_endless_ones(browser: Browser) -> None:
    assert (await browser.http.post("/sign-out", json={})).status_code == 415
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await browser.http.post("/sign-out", content=b"a" * 3_000_000, headers=form)).status_code == 413
    assert (await browser.http.post("/sign-out", content=b"a=%ff", headers=form)).status_code == 400
    assert (await browser.http.post("/sign-out", content=b"a&" * 60_000, headers=form)).status_code == 400


async def test_strangers_send_no_large_forms(stranger: Browser) -> None:
    answer = await stranger.send("/sign-in", {"key": "x" * 20_000})
    assert answer.status_code == 413


async def test_until_the_state_was_read_nobody_is_taken_for_a_stranger(
    stranger: Browser, service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = await service.create_api_key("mine")
    await stranger.send("/sign-in", {"key": key})

    def unread() -> list[ApiKeyView]:
        raise Unavailable("the state topic was not read yet")

    monkeypatch.setattr(service, "api_keys", unread)
    answer = await stranger.open("/zones")
    assert answer.status_code == 503 and "The state topic was not read yet" in answer.text
    (style,) = re.findall(r'href="(/static/console.css[^"]*)"', answer.text)
    assert (await stranger.http.get(style)).status_code == 200
    assert (await stranger.open("/sign-in")).status_code == 200
