"""The console in a real browser, with a real gateway and a real Kafka behind it: what people do there, and what their
partners notice of it."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.visitors import Visitors, sign_in
from tests.canary import Canaries
from tests.integration.clients.base import NotAuthenticated, Refused
from tests.integration.clients.librdkafka import Librdkafka, take
from tests.integration.control_plane import API_KEY
from tests.integration.gateway import manifest
from tests.integration.office import BACKING, NOTICE_MS, Office, Shell, handed_out, save
from tests.integration.wire import Connection
from tests.integration.world import MARKER, Account, new_group
from tests.kafka import Cluster

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="session")]

RECORDS = [f"record {number}" for number in range(10)]


@pytest.fixture(scope="module")
def office(chromium: "Browser", kafka: Cluster, canaries: Canaries) -> Iterator[Office]:
    office = Office(kafka, canaries)
    office.create_topics()
    with office:
        yield office


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(chromium: "Browser", office: Office) -> AsyncIterator[Visitors]:
    visitors = Visitors(chromium, office.api.url, API_KEY)
    yield visitors
    await visitors.close()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def _share(office: Office, zone: str, user: str) -> None:
    rows = [("orders", BACKING[0], "WRITE"), ("invoices", BACKING[1], "READ")]
    office.api.put(manifest(zone, user, rows)).raise_for_status()


async def _new_password(page: Page, zone: str, expires: str) -> None:
    await page.goto(f"/zones/{zone}")
    await page.get_by_role("link", name="Generate a password").click()
    await page.get_by_label("It expires").select_option(expires)
    await page.get_by_role("button", name="Generate").click()
    await expect(page.get_by_role("heading", name="A new password")).to_be_visible()


async def test_the_guide(office: Office, visitors: Visitors, shell: Shell) -> None:
    page = await visitors.admin()
    await expect(page.get_by_role("heading", name="Share your first topics")).to_be_visible()
    await page.get_by_role("link", name="New zone").first.click()

    await page.locator("#displayName").press_sequentially("External Partner Zone")
    await expect(page.get_by_label("Technical ID")).to_have_value("external-partner-zone")
    await expect(page.get_by_label("Service account")).to_have_value("external-partner-zone")
    await page.get_by_label("Service account").fill("johndoe")
    await page.get_by_label("URL").fill("https://partner1.com")
    await page.get_by_label("Labels").fill("gold")
    await page.get_by_label("Email").fill("johndoe@company.io")
    await _continue(page)
    for field, text in (("Cluster", "Choose a cluster"), ("Labels", "'gold' is not a label")):
        await expect(page.get_by_label(field)).to_have_accessible_description(re.compile(text))
    await expect(page.locator("#partnerName")).to_have_accessible_description(re.compile("Write the contact's name"))
    await page.get_by_label("Cluster").fill("partner1")
    await page.get_by_label("Labels").fill("tier=gold")
    await page.locator("#partnerName").fill("John Doe")
    await _continue(page)

    orders, invoices, _ = BACKING
    await page.get_by_label("Filter by name").press_sequentially("console-ord")
    offered = page.get_by_role("button", name=re.compile("^Add cnry-"))
    await expect(offered).to_have_count(1)
    await page.get_by_role("button", name=f"Add {orders}").click()
    await page.get_by_label("Filter by name").fill("")
    await page.get_by_role("button", name=f"Add {invoices}").click()
    for topic, alias in ((invoices, "invoices"), (orders, "orders")):
        await page.get_by_role("button", name=f"Rename {topic}").click()
        await page.get_by_label(f"Name of {topic} for the partner").fill(alias)
    await page.get_by_label(f"What the partner may do with {orders}").select_option("WRITE")
    await _continue(page)

    await page.get_by_role("switch", name="Produce rate").check()
    await page.get_by_label("Produce rate: at most").fill("0")
    await _continue(page)
    await expect(page.get_by_label("Produce rate: at most")).to_have_accessible_description(re.compile("."))
    await page.get_by_label("Produce rate: at most").fill("1.5")
    await _continue(page)

    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download").click()
    await (await downloading.value).save_as(shell.folder / "reviewed.yaml")
    await page.get_by_role("button", name="Create zone").click()
    await expect(page.get_by_role("heading", name="The zone is created")).to_be_visible()

    account = await handed_out(page, "external-partner-zone", office)
    assert account.user == "johndoe"
    await asyncio.to_thread(Librdkafka(account).produce, "orders", RECORDS)
    for name in ("config.properties", "consume.py", "list-topics.sh"):
        await save(page, name, shell.folder)
    listed, consumed, applied = await asyncio.gather(
        shell.run("sh list-topics.sh"),
        shell.run("python consume.py"),
        shell.run("zonegate apply -f reviewed.yaml", ZONEGATE_URL=office.api.url, ZONEGATE_API_KEY=API_KEY),
    )
    assert listed.split() == ["invoices", "orders"]
    assert consumed.split("\n")[:2] == ["invoices", "orders"]
    assert all(record in consumed for record in RECORDS)
    assert "PartnerZone/external-partner-zone: NotChanged" in applied

    await page.get_by_role("link", name="Go to the zone").click()
    await expect(page.get_by_role("heading", name="External Partner Zone")).to_be_visible()
    await expect(page.locator("#status-part .status")).to_have_text("Ready", timeout=NOTICE_MS)
    await expect(page.locator("#limits-part")).to_contain_text("of 1.5 MiB/s")


async def test_a_status_follows_the_cluster_on_a_page_that_is_open(office: Office, visitors: Visitors) -> None:
    late = f"{MARKER}console-late"
    office.api.put(manifest("waiting", "waiter", [("late", late, "READ")])).raise_for_status()
    page = await visitors.admin()
    await page.get_by_role("link", name="waiting").click()
    status = page.locator("#status-part")
    await expect(status).to_contain_text(f"acking topic '{late}' does not exist", timeout=NOTICE_MS)
    await page.evaluate("() => { window.kept = true; }")
    await asyncio.to_thread(office.kafka.create_topic, late, 1)
    await expect(status.locator(".status")).to_have_text("Ready", timeout=NOTICE_MS)
    assert await page.evaluate("kept"), "the page was not loaded anew"


async def test_what_clients_do_is_seen_and_a_rename_names_them(office: Office, visitors: Visitors) -> None:
    _share(office, "renaming", "renamer")
    account = office.account("renaming", "renamer", office.api.new_password("renaming"))
    office.api.wait_for("renaming", "READY")
    client = Librdkafka(account)
    page = await visitors.admin()
    await page.get_by_role("link", name="renaming").click()
    await asyncio.to_thread(client.produce, "orders", RECORDS)
    with pytest.raises(Refused):
        await asyncio.to_thread(client.produce, "invoices", RECORDS)
    with client.consumer(new_group()) as consumer:
        consumer.subscribe(["orders"])
        await asyncio.to_thread(lambda: list(take(consumer, len(RECORDS))))
        await expect(page.locator("#clients-part")).to_contain_text("librdkafka-client", timeout=NOTICE_MS)
    await expect(page.locator("#topics-part")).to_contain_text("librdkafka-client", timeout=NOTICE_MS)
    await expect(page.locator("#refusals-part")).to_contain_text("topic_authorization_failed", timeout=NOTICE_MS)
    await expect(page.get_by_label("Records produced by minute: 10 in the last hour")).to_be_visible(timeout=NOTICE_MS)

    await page.get_by_role("link", name="Edit", exact=True).click()
    await page.get_by_role("button", name="Rename orders").click()
    await page.get_by_label(f"Name of {BACKING[0]} for the partner").fill("new-orders")
    await _save(page)
    await expect(page.get_by_role("alert")).to_contain_text("librdkafka-client")
    assert await _topics(account) == {"orders", "invoices"}
    await page.get_by_role("button", name="Save all the same").first.click()
    await expect(page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    office.api.wait_for("renaming", "READY")
    assert await _topics(account) == {"new-orders", "invoices"}


async def test_two_browsers_edit_the_same_zone(office: Office, visitors: Visitors) -> None:
    _share(office, "contested", "contester")
    first, second = await visitors.admin(), await visitors.admin()
    for page in (first, second):
        await page.goto("/zones/contested/edit")
    await second.get_by_label("URL").fill("https://second.example")
    await _save(second)
    await expect(second.get_by_role("status").filter(has_text="Saved")).to_be_visible()

    await first.get_by_label("Description").fill("what the first has to say")
    await first.get_by_role("button", name="Remove invoices").click()
    await _save(first)
    told = first.get_by_role("alert")
    await expect(told).to_contain_text("Somebody else has saved this zone")
    await expect(told).to_contain_text("https://second.example")
    await expect(first.get_by_label("Description")).to_have_value("what the first has to say")
    spec = office.api.zone("contested")["spec"]
    assert spec["url"] == "https://second.example" and "description" not in spec and len(spec["topics"]) == 2

    await first.get_by_role("button", name="Save mine over it").click()
    await first.get_by_role("button", name="Save all the same").first.click()
    await expect(first.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    spec = office.api.zone("contested")["spec"]
    assert spec["description"] == "what the first has to say" and len(spec["topics"]) == 1

    await first.goto("/zones/contested/edit")
    remove = first.get_by_role("button", name="Remove orders")
    await expect(remove).to_be_disabled()
    await expect(remove).to_have_accessible_description(re.compile("at least one topic"))


async def _continue(page: Page) -> None:
    await page.get_by_role("button", name="Continue").last.click()


async def _save(page: Page) -> None:
    await page.get_by_role("button", name="Save", exact=True).last.click()


async def test_a_second_password_and_the_end_of_the_first(office: Office, visitors: Visitors) -> None:
    _share(office, "rotating", "rotator")
    page = await visitors.admin()
    await page.get_by_role("link", name="rotating").click()
    await expect(page.get_by_text("There is no password yet")).to_be_visible()
    await expect(page.locator("#status-part .status")).to_have_text("Ready", timeout=NOTICE_MS)

    await _new_password(page, "rotating", "never")
    first = await handed_out(page, "rotating", office)
    await _new_password(page, "rotating", "in 30 days")
    second = await handed_out(page, "rotating", office)
    assert await _topics(first) == await _topics(second) == {"orders", "invoices"}

    with Connection(office) as connection, Connection(office) as other:
        connection.sign_in(first)
        other.sign_in(second)
        await page.get_by_role("link", name="Go to the zone").click()
        passwords = page.locator("#credentials-part")
        await expect(passwords.get_by_role("row")).to_have_count(3)
        await passwords.get_by_role("row").filter(has_text="never").get_by_role("link").click()
        await page.get_by_role("button", name="Revoke").click()
        await expect(passwords.get_by_role("row")).to_have_count(2)
        assert await asyncio.to_thread(connection.is_ended)
        assert connection.end()["reason"] == "credential_revoked"
        other.sign_in(second)
    with pytest.raises(NotAuthenticated):
        await asyncio.to_thread(Librdkafka(first).topics)


async def test_deletion_wants_the_word(office: Office, visitors: Visitors) -> None:
    _share(office, "leaving", "leaver")
    account = office.account("leaving", "leaver", office.api.new_password("leaving"))
    office.api.wait_for("leaving", "READY")
    assert await _topics(account) == {"orders", "invoices"}

    page = await visitors.admin()
    await page.get_by_label("Actions for leaving").click()
    await page.get_by_role("link", name="Delete").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Type DELETE").fill("delete")
    await dialog.get_by_role("button", name="Delete the zone").click()
    await expect(page.get_by_text("Type DELETE, in capitals")).to_be_visible()
    assert await _topics(account) == {"orders", "invoices"}

    await page.get_by_label("Type DELETE").fill("DELETE")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Partner Zones")).to_be_visible()
    await expect(page.get_by_role("link", name="leaving")).to_have_count(0)
    with pytest.raises(NotAuthenticated):
        await _topics(account)


async def test_a_session_ends_with_its_key_or_when_its_owner_says_so(office: Office, visitors: Visitors) -> None:
    created = office.api.http.post("/token/v1/admin_tokens", json={"name": "intern"}).raise_for_status().json()
    intern, page = await visitors.stranger(), await visitors.admin()
    await sign_in(intern, created["token"])
    await expect(intern.get_by_text("intern")).to_be_visible()
    await intern.goto("/gateways")
    await expect(intern.get_by_role("row")).to_have_count(2)
    office.api.http.delete(f"/token/v1/{created['id']}").raise_for_status()
    await expect(intern.get_by_role("heading", name="Sign in")).to_be_visible()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def _topics(account: Account) -> set[str]:
    return set(await asyncio.to_thread(Librdkafka(account).topics))
