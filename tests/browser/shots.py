"""The states of the console that pictures are taken of, and the way to each."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from playwright.async_api import Page, expect

from controlplane.partner_zone import PartnerZone
from tests.browser.stage import Stage

Step = Callable[[Page, Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Shot:
    name: str
    caption: str
    steps: Sequence[Step]
    """From the list of zones, where one is signed in."""
    is_whole: bool = True
    """The page, also what one would have to scroll to; else the window."""


def at(path: str) -> Step:
    async def go(page: Page, _stage: Stage) -> None:
        await page.goto(path)

    return go


async def sign_in(page: Page, _stage: Stage) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_text("Sign in with a user name").click()


async def empty(page: Page, stage: Stage) -> None:
    for view in stage.service.zones():
        await stage.service.delete(view.resource.metadata.name)
    await page.goto("/zones")


async def details(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/new")
    await page.get_by_label("Name", exact=True).first.fill("Baltic Retail")
    await page.get_by_label("Cluster").select_option("production")
    await page.get_by_label("URL").fill("https://baltic-retail.example")
    await page.get_by_label("Labels").fill("team=sales, tier=silver")
    contact = page.get_by_role("group", name="Partner's contact")
    await contact.get_by_label("Name").fill("Liina Tamm")
    await contact.get_by_label("Email").fill("liina.tamm@baltic-retail.example")


async def topics(page: Page, _stage: Stage) -> None:
    await page.get_by_role("button", name="Continue").last.click()
    for topic in ("sales.price-lists.v4", "sales.partner-orders.v1"):
        await page.get_by_role("button", name=f"Add {topic}").click()
    await page.get_by_role("button", name="Rename sales.price-lists.v4").click()
    await page.get_by_label("Name of sales.price-lists.v4 for the partner").fill("prices")
    await page.get_by_label("What the partner may do with sales.partner-orders.v1").select_option("WRITE")


async def limits(page: Page, _stage: Stage) -> None:
    await page.get_by_role("button", name="Continue").last.click()
    await page.get_by_role("switch").first.check()
    await page.get_by_label("at most").first.fill("2.5")


async def review(page: Page, _stage: Stage) -> None:
    await page.get_by_role("button", name="Continue").last.click()
    await expect(page.get_by_role("heading", name="As YAML")).to_be_visible()


async def credentials(page: Page, _stage: Stage) -> None:
    await page.get_by_role("button", name="Create zone").click()
    await expect(page.get_by_role("heading", name="The zone is created")).to_be_visible()


async def errors(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/new")
    await page.get_by_label("Name", exact=True).first.fill("ACME Logistics")
    await page.get_by_label("Service account").fill("acme")
    await page.get_by_label("Labels").fill("gold")
    await page.get_by_role("button", name="Continue").last.click()
    await expect(page.get_by_role("alert")).to_be_visible()


async def rename(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/acme-logistics/edit")
    await page.get_by_role("button", name="Rename orders").click()
    await page.get_by_label("Name of sales.partner-orders.v1 for the partner").fill("new-orders")
    await page.get_by_role("button", name="Save").last.click()
    await expect(page.get_by_role("button", name="Save all the same").first).to_be_visible()


async def conflict(page: Page, stage: Stage) -> None:
    await page.goto("/zones/acme-logistics/edit")
    theirs = stage.service.zone("acme-logistics").resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    theirs["spec"]["trafficControlPolicies"]["maxConsumeRate"] = 4_194_304
    theirs["spec"]["topics"].append({"name": "prices", "backingTopic": "sales.price-lists.v4", "permission": "READ"})
    await stage.service.upsert(PartnerZone.model_validate(theirs))
    await page.get_by_label("Description").fill("Carrier for all deliveries in northern Europe.")
    await page.get_by_role("button", name="Save").last.click()
    await expect(page.get_by_role("alert")).to_contain_text("Somebody else")


async def ask_to_delete(page: Page, _stage: Stage) -> None:
    await page.goto("/zones/acme-logistics")
    await page.get_by_role("link", name="Delete", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def out_of_reach(page: Page, stage: Stage) -> None:
    stage.service.problem = "no broker of the cluster answers"
    await page.goto("/zones")


WIZARD: Sequence[Step] = (details, topics, limits, review, credentials)

SHOTS: Sequence[Shot] = (
    Shot("sign-in", "Signing in, with an API key or as the admin", [sign_in]),
    Shot("empty", "Partner Zones, before there is one", [empty]),
    Shot("zones", "Partner Zones", [at("/zones")]),
    Shot("new-zone-1-details", "New zone: details", WIZARD[:1]),
    Shot("new-zone-2-topics", "New zone: topics", WIZARD[:2]),
    Shot("new-zone-3-limits", "New zone: traffic control", WIZARD[:3]),
    Shot("new-zone-4-review", "New zone: review", WIZARD[:4]),
    Shot("new-zone-errors", "What is to be corrected, beside its field", [errors]),
    Shot("credentials", "The zone is created: its credentials, shown once", WIZARD),
    Shot("zone", "A zone", [at("/zones/acme-logistics")]),
    Shot("zone-failed", "A zone that is not in order", [at("/zones/nordic-payments")]),
    Shot("edit", "Editing a zone: what partners would lose", [rename]),
    Shot("conflict", "Somebody else has saved the zone meanwhile", [conflict]),
    Shot("delete", "Deleting a zone", [ask_to_delete], is_whole=False),
    Shot("gateways", "Gateways", [at("/gateways")]),
    Shot("problem", "A page that isn't there", [at("/zones/no-such-zone")]),
    Shot("out-of-reach", "While the desired state is out of reach", [out_of_reach], is_whole=False),
)
