"""The states of the console that pictures are taken of, and the way to each."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from playwright.async_api import Page, expect

from controlplane.partner_zone import PartnerZone
from tests.browser.stage import Stage


@dataclass(frozen=True, slots=True)
class Shot:
    name: str
    caption: str
    go: Callable[[Page, Stage], Awaitable[object]]
    """From the list of zones, where one is signed in."""
    is_whole: bool = True
    """The page, also what one would have to scroll to; else the window."""


def _open(path: str) -> Callable[[Page, Stage], Awaitable[object]]:
    async def go(page: Page, _stage: Stage) -> None:
        await page.goto(path)

    return go


async def _sign_in(page: Page, _stage: Stage) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_text("Sign in with a user name").click()


async def _empty(page: Page, stage: Stage) -> None:
    for view in stage.service.zones():
        await stage.service.delete(view.resource.metadata.name)
    await page.goto("/zones")


async def _details(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/new")
    await page.get_by_label("Name", exact=True).first.fill("Baltic Retail")
    await page.get_by_label("Cluster").select_option("production")
    await page.get_by_label("URL").fill("https://baltic-retail.example")
    await page.get_by_label("Labels").fill("team=sales, tier=silver")
    contact = page.get_by_role("group", name="Partner's contact")
    await contact.get_by_label("Name").fill("Liina Tamm")
    await contact.get_by_label("Email").fill("liina.tamm@baltic-retail.example")


async def _topics(page: Page, stage: Stage) -> None:
    await _details(page, stage)
    await page.get_by_role("button", name="Continue").last.click()
    for topic in ("sales.price-lists.v4", "sales.partner-orders.v1"):
        await page.get_by_role("button", name=f"Add {topic}").click()
    await page.get_by_role("button", name="Rename sales.price-lists.v4").click()
    await page.get_by_label("Name of sales.price-lists.v4 for the partner").fill("prices")
    await page.get_by_label("What the partner may do with sales.partner-orders.v1").select_option("WRITE")


async def _limits(page: Page, stage: Stage) -> None:
    await _topics(page, stage)
    await page.get_by_role("button", name="Continue").last.click()
    await page.get_by_role("switch").first.check()
    await page.get_by_label("at most").first.fill("2.5")


async def _review(page: Page, stage: Stage) -> None:
    await _limits(page, stage)
    await page.get_by_role("button", name="Continue").last.click()
    await expect(page.get_by_role("heading", name="As YAML")).to_be_visible()


async def _credentials(page: Page, stage: Stage) -> None:
    await _review(page, stage)
    await page.get_by_role("button", name="Create zone").click()
    await expect(page.get_by_role("heading", name="The zone is created")).to_be_visible()


async def _errors(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/new")
    await page.get_by_label("Name", exact=True).first.fill("ACME Logistics")
    await page.get_by_label("Service account").fill("acme")
    await page.get_by_label("Labels").fill("gold")
    await page.get_by_role("button", name="Continue").last.click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def _rename(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/acme-logistics/edit")
    await page.get_by_role("button", name="Rename orders").click()
    await page.get_by_label("Name of sales.partner-orders.v1 for the partner").fill("new-orders")
    await page.get_by_role("button", name="Save").last.click()
    await expect(page.get_by_role("button", name="Save all the same").first).to_be_visible()


async def _conflict(page: Page, stage: Stage) -> None:
    await page.goto("/zones/acme-logistics/edit")
    theirs = stage.service.zone("acme-logistics").resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    theirs["spec"]["trafficControlPolicies"]["maxConsumeRate"] = 4_194_304
    theirs["spec"]["topics"].append({"name": "prices", "backingTopic": "sales.price-lists.v4", "permission": "READ"})
    await stage.service.upsert(PartnerZone.model_validate(theirs))
    await page.get_by_label("Description").fill("Carrier for all deliveries in northern Europe.")
    await page.get_by_role("button", name="Save").last.click()
    await expect(page.get_by_role("alert")).to_contain_text("Somebody else")


async def _ask_to_delete(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/acme-logistics")
    await page.get_by_role("link", name="Delete", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def _problem(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/no-such-zone")


async def _out_of_reach(page: Page, stage: Stage) -> None:
    stage.service.problem = "no broker of the cluster answers"
    await page.goto("/zones")


SHOTS: Sequence[Shot] = (
    Shot("sign-in", "Signing in, with an API key or as the admin", _sign_in),
    Shot("empty", "Partner Zones, before there is one", _empty),
    Shot("zones", "Partner Zones", _open("/zones")),
    Shot("new-zone-1-details", "New zone: details", _details),
    Shot("new-zone-2-topics", "New zone: topics", _topics),
    Shot("new-zone-3-limits", "New zone: traffic control", _limits),
    Shot("new-zone-4-review", "New zone: review", _review),
    Shot("new-zone-errors", "What is to be corrected, beside its field", _errors),
    Shot("credentials", "The zone is created: its credentials, shown once", _credentials),
    Shot("zone", "A zone", _open("/zones/acme-logistics")),
    Shot("zone-failed", "A zone that is not in order", _open("/zones/nordic-payments")),
    Shot("edit", "Editing a zone: what partners would lose", _rename),
    Shot("conflict", "Somebody else has saved the zone meanwhile", _conflict),
    Shot("delete", "Deleting a zone", _ask_to_delete, is_whole=False),
    Shot("gateways", "Gateways", _open("/gateways")),
    Shot("problem", "A page that isn't there", _problem),
    Shot("out-of-reach", "While the desired state is out of reach", _out_of_reach, is_whole=False),
)
