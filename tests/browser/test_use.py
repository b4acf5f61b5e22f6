"""Pages that keep themselves up to date, and pages in a browser that runs no scripts."""

import pytest
from playwright.async_api import expect

from controlplane.zone_service import Status
from tests.browser.stage import Stage
from tests.browser.visitors import NARROW, Visitors
from tests.unit.controlplane.api.memory_service import KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_status_changes_on_a_page_that_is_open(visitors: Visitors, stage: Stage) -> None:
    page = await visitors.admin(NARROW)
    row = page.get_by_role("row").filter(has_text="Weather Service")
    await expect(row).to_contain_text("Pending")
    await page.evaluate("() => { window.kept = true; }")
    stage.service.set_status("weather-service", Status.FAILED, "backing topic 'weather.forecasts.v1' does not exist")
    await expect(row).to_contain_text("does not exist")
    assert await page.evaluate("kept"), "the page was not loaded anew"


async def test_the_first_zone_appears_on_the_page_that_says_how_to_begin(visitors: Visitors, stage: Stage) -> None:
    zones = list(stage.service.zones())
    for zone in zones:
        await stage.service.delete(zone.resource.metadata.name)
    page = await visitors.admin()
    await expect(page.get_by_role("heading", name="Share your first topics")).to_be_visible()
    await stage.service.upsert(zones[0].resource)
    await expect(page.get_by_role("rowheader")).to_have_count(1)
    await expect(page.get_by_label("Search")).to_be_visible()


async def test_without_scripts(visitors: Visitors) -> None:
    page = await visitors.stranger(javascript=False)
    await page.goto("/zones?status=FAILED")
    await page.get_by_label("API key").fill("another-key")
    await page.get_by_role("button", name="Sign in").first.click()
    await expect(page.get_by_role("alert")).to_contain_text("The API key is wrong")
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Sign in").first.click()
    await expect(page.get_by_role("rowheader")).to_contain_text(["Nordic Payments"])

    await page.get_by_role("link", name="Clear").click()
    await page.get_by_label("Search").fill("telemetry")
    await page.get_by_label("Label", exact=True).select_option("team=supply-chain")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_role("rowheader")).to_contain_text(["Müller"])

    await page.get_by_role("link", name="Gateways").click()
    await expect(page.get_by_role("row").filter(has_text="gateway-3")).to_contain_text("Behind")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.goto("/zones")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_new_zone_without_scripts(visitors: Visitors, stage: Stage) -> None:
    page = await visitors.admin(NARROW, javascript=False)
    await page.get_by_role("link", name="New zone").click()
    await page.locator("#displayName").fill("Baltic Retail")
    await page.get_by_label("Cluster").select_option("production")
    await page.get_by_role("button", name="Continue").last.click()
    await page.get_by_label("Filter by name").fill("partner-ord")
    await page.get_by_role("button", name="Filter").click()
    await page.get_by_role("button", name="Add sales.partner-orders.v1").click()
    await page.get_by_label("Name of sales.partner-orders.v1 for the partner").fill("orders")
    await page.get_by_role("button", name="Continue").last.click()
    await page.get_by_role("switch", name="Consume rate").check()
    await page.get_by_label("Consume rate: at most").fill("4")
    await page.get_by_role("button", name="Continue").last.click()
    await page.get_by_role("button", name="Create zone").click()
    await expect(page.get_by_role("heading", name="The zone is created")).to_be_visible()
    spec = stage.service.zone("baltic-retail").resource.spec
    assert spec.service_account == "baltic-retail" and [topic.name for topic in spec.topics] == ["orders"]
    assert spec.traffic_control_policies is not None
    assert spec.traffic_control_policies.max_consume_rate == 4 * 1024 * 1024
