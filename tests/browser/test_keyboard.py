"""The main ways through the console, with the keyboard alone."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.keyboard import go_to, walk
from tests.browser.visitors import Visitors
from tests.unit.controlplane.api.memory_service import KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = (
    "/zones",
    "/zones/new",
    "/zones/acme-logistics",
    "/zones/acme-logistics/edit",
    "/zones/acme-logistics/delete",
    "/gateways",
    "/nowhere",
)


async def test_the_tab_key_reaches_everything(visitors: Visitors) -> None:
    page = await visitors.stranger()
    await page.goto("/sign-in")
    findings = await walk(page)
    page = await visitors.admin()
    for path in PAGES:
        await page.goto(path)
        findings += [f"{path}: {each}" for each in await walk(page)]
    assert not findings, "\n".join(findings)


async def test_signing_in_and_past_what_every_page_begins_with(visitors: Visitors) -> None:
    page = await visitors.stranger()
    await page.goto("/gateways")
    await expect(page.get_by_label("API key")).to_be_focused()
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Gateways")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()


async def test_a_search_and_a_menu(visitors: Visitors) -> None:
    page = await visitors.admin()
    await go_to(page, page.get_by_label("Search"))
    await page.keyboard.type("johndoe")
    await expect(page.get_by_role("row")).to_have_count(2)
    await expect(page).to_have_url("/zones?search=johndoe")
    await expect(page.get_by_label("Search")).to_be_focused()

    menu = page.get_by_label("Actions for External Partner Zone")
    await go_to(page, menu)
    await page.keyboard.press("Enter")
    edit = page.get_by_role("link", name="Edit")
    await go_to(page, edit)
    await page.keyboard.press("Escape")
    await expect(edit).to_be_hidden()
    await expect(menu).to_be_focused()


async def test_a_new_zone(visitors: Visitors) -> None:
    """Enter does what the field that one is in suggests: it goes on, or it filters."""
    page = await visitors.admin()
    await page.goto("/zones/new")
    await go_to(page, page.locator("#displayName"))
    await page.keyboard.type("Baltic Retail")
    await go_to(page, page.get_by_label("Cluster"))
    await page.keyboard.type("prod")
    await go_to(page, page.get_by_label("URL"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Topics of production")).to_be_visible()

    await go_to(page, page.get_by_label("Filter by name"))
    await page.keyboard.type("partner-ord")
    await page.keyboard.press("Enter")
    add = page.get_by_role("button", name=re.compile("^Add "))
    await expect(add).to_have_count(1)
    await go_to(page, add)
    await page.keyboard.press("Enter")
    await expect(add).to_be_focused()
    await expect(page.get_by_role("status")).not_to_be_empty()
    await go_to(page, page.get_by_role("button", name="Rename sales.partner-orders.v1"))
    await page.keyboard.press("Enter")
    alias = page.get_by_label("Name of sales.partner-orders.v1 for the partner")
    await expect(alias).to_be_focused()
    await page.keyboard.type("orders")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("group", name="Traffic control policies")).to_be_visible()

    await go_to(page, page.get_by_role("switch", name="Consume rate"))
    await page.keyboard.press("Space")
    await go_to(page, page.get_by_label("Consume rate: at most"))
    await page.keyboard.type("4")
    await page.keyboard.press("Enter")
    await go_to(page, page.get_by_role("button", name="Create zone"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="The zone is created")).to_be_visible()
    await expect(page.locator("#account")).to_have_text("baltic-retail")


async def test_a_dialog_keeps_the_focus_and_gives_it_back(visitors: Visitors) -> None:
    page = await visitors.admin()
    await page.goto("/zones/acme-logistics")
    delete = page.get_by_role("link", name="Delete", exact=True)
    await go_to(page, delete)
    await page.keyboard.press("Enter")
    dialog, field = page.get_by_role("dialog", name="Delete ACME Logistics?"), page.get_by_label("Type DELETE")
    await expect(field).to_be_focused()
    for key in ("Tab", "Shift+Tab"):
        for _ in range(6):
            await page.keyboard.press(key)
            inside = "(dialog) => dialog.contains(document.activeElement) || document.activeElement === document.body"
            assert await dialog.evaluate(inside)
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(delete).to_be_focused()

    await page.keyboard.press("Enter")
    await go_to(page, page.get_by_role("link", name="Cancel"))
    await page.keyboard.press("Enter")
    await expect(delete).to_be_focused()

    await page.keyboard.press("Enter")
    await expect(field).to_be_focused()
    await page.keyboard.type("DELETE")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Partner Zones")).to_be_visible()
    await expect(page.get_by_role("link", name="ACME Logistics")).to_have_count(0)
