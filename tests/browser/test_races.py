"""What people press and type while an answer is on its way: nothing of it is lost."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser import shots
from tests.browser.stage import Stage
from tests.browser.visitors import Visitors

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Gate:
    """Holds back what a page sends while it is closed."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self.arrived = asyncio.Event()

    async def guard(self, page: Page, path: str) -> None:
        await page.route(f"**{path}", self._pass)

    def open(self) -> None:
        self._open.set()

    async def _pass(self, route: Route) -> None:
        if route.request.method == "POST":
            self.arrived.set()
            await self._open.wait()
        await route.continue_()


async def test_topics_that_are_added_at_once_are_all_there_when_somebody_goes_on(
    visitors: Visitors, stage: Stage
) -> None:
    page, gate = await visitors.admin(), Gate()
    await shots.details(page, stage)
    await page.get_by_role("button", name="Continue").last.click()
    await expect(page.get_by_role("heading", name="Shared with the partner")).to_be_visible()
    await gate.guard(page, "/zones/new")
    added = ("sales.price-lists.v4", "sales.partner-orders.v1", "weather.forecasts.v1")
    for topic in added:
        await page.get_by_role("button", name=f"Add {topic}").click()
    await page.get_by_role("button", name="Continue").last.click()
    await gate.arrived.wait()
    gate.open()
    await expect(page.get_by_role("switch", name="Produce rate")).to_be_visible()
    await page.get_by_role("button", name="Continue").last.click()
    for topic in added:
        await expect(page.get_by_role("rowheader", name=topic)).to_be_visible()


async def test_a_name_that_is_typed_while_a_topic_is_added_stays(visitors: Visitors) -> None:
    page, gate = await visitors.admin(), Gate()
    await page.goto("/zones/acme-logistics/edit")
    await gate.guard(page, "/zones/acme-logistics/edit")
    await page.get_by_role("button", name="Add sales.price-lists.v4").click()
    await gate.arrived.wait()
    await page.get_by_role("button", name="Rename shipments").click()
    field = page.get_by_label("Name of logistics.shipment-events.v3 for the partner")
    await field.fill("deliveries")
    gate.open()
    await expect(page.get_by_role("button", name="Rename sales.price-lists.v4")).to_be_visible()
    await expect(field).to_have_value("deliveries")
    await expect(field).to_be_focused()
