"""Every page, in both widths and themes: what axe finds, and whether anything is wider than the window."""

import pytest
from playwright.async_api import expect

from tests.browser import shots
from tests.browser.accessibility import look_at
from tests.browser.shots import Step, at
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
    "/zones/acme-logistics/edit",
    "/gateways",
    "/nowhere",
)


async def _findings(visitors: Visitors, stage: Stage, *steps: Step) -> str:
    """After each step that somebody takes who is signed in."""
    page = await visitors.admin()
    findings = []
    for step in steps:
        await step(page, stage)
        findings += await look_at(page)
    return "\n".join(findings)


async def test_pages(visitors: Visitors, stage: Stage) -> None:
    assert not await _findings(visitors, stage, *map(at, PAGES))


async def test_the_wizard(visitors: Visitors, stage: Stage) -> None:
    assert not await _findings(visitors, stage, shots.errors, *shots.WIZARD)


async def test_what_an_edit_is_told(visitors: Visitors, stage: Stage) -> None:
    assert not await _findings(visitors, stage, shots.rename, shots.conflict)


async def test_before_there_are_zones(visitors: Visitors, stage: Stage) -> None:
    stage.service.gateway_views = []
    assert not await _findings(visitors, stage, shots.empty, at("/gateways"))


async def test_while_the_state_topic_is_out_of_reach(visitors: Visitors, stage: Stage) -> None:
    assert not await _findings(visitors, stage, shots.out_of_reach)


async def test_a_menu_and_dialogs(visitors: Visitors) -> None:
    page = await visitors.admin()
    await page.get_by_label("Actions for ACME Logistics").click()
    await expect(page.get_by_role("link", name="Delete")).to_be_visible()
    findings = await look_at(page)
    await page.goto("/zones/external-partner-zone")
    for link in ("Delete", "Generate a password", "Revoke"):
        await page.get_by_role("link", name=link).first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        findings += await look_at(page)
        await page.keyboard.press("Escape")
    assert not findings, "\n".join(findings)


async def test_signing_in(visitors: Visitors) -> None:
    page = await visitors.stranger()
    await page.goto("/sign-in")
    findings = await look_at(page)
    await page.get_by_text("Sign in with a user name").click()
    await page.get_by_label("User name").fill("somebody")
    await page.get_by_label("Password").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("wrong")
    findings += await look_at(page)
    assert not findings, "\n".join(findings)
