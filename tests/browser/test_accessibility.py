"""Every page, in both widths and themes: what axe finds, and whether anything is wider than the window."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.accessibility import look_at
from tests.browser.stage import Stage
from tests.browser.visitors import Visitors

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = (
    "/zones",
    "/zones?search=nothing+like+it",
    "/zones/acme-logistics?saved",
    "/zones/mueller-soehne",
    "/zones/nordic-payments",
    "/zones/acme-logistics/delete",
    "/zones/acme-logistics/credentials/new",
    "/gateways",
    "/nowhere",
)


async def test_pages_of_whoever_is_signed_in(visitors: Visitors) -> None:
    page = await visitors.admin()
    findings = []
    for path in PAGES:
        await page.goto(path)
        findings += await look_at(page)
    assert not findings, "\n".join(findings)


async def test_an_open_menu(visitors: Visitors) -> None:
    page = await visitors.admin()
    await page.get_by_label("Actions for ACME Logistics").click()
    await expect(page.get_by_role("link", name="Delete")).to_be_visible()
    await _is_accessible(page)


async def test_a_new_password(visitors: Visitors) -> None:
    page = await visitors.admin()
    await page.goto("/zones/external-partner-zone")
    await page.get_by_role("link", name="Generate a password").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    findings = await look_at(page)
    await page.get_by_role("button", name="Generate").click()
    await expect(page.get_by_role("heading", name="A new password")).to_be_visible()
    findings += await look_at(page)
    assert not findings, "\n".join(findings)


async def test_signing_in(visitors: Visitors) -> None:
    page = await visitors.stranger()
    await page.goto("/sign-in")
    await _is_accessible(page)
    await page.get_by_text("Sign in with a user name").click()
    await page.get_by_label("User name").fill("somebody")
    await page.get_by_label("Password").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("wrong")
    await _is_accessible(page)


async def test_before_there_are_zones(visitors: Visitors, stage: Stage) -> None:
    page = await visitors.admin()
    for view in stage.service.zones():
        await stage.service.delete(view.resource.metadata.name)
    stage.service.gateway_views = []
    for path in ("/zones", "/gateways"):
        await page.goto(path)
        await _is_accessible(page)


async def test_while_the_state_topic_is_out_of_reach(visitors: Visitors, stage: Stage) -> None:
    page = await visitors.admin()
    stage.service.problem = "no broker of the cluster answers"
    await page.goto("/zones")
    await expect(page.get_by_role("alert")).to_be_visible()
    await _is_accessible(page)


async def _is_accessible(page: Page) -> None:
    findings = await look_at(page)
    assert not findings, "\n".join(findings)
