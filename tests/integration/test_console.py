"""The console in a real browser, with a real gateway and a real Kafka behind it: what people do there, and what their
partners notice of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.visitors import Visitors, sign_in
from tests.canary import Canaries
from tests.integration.clients.base import NotAuthenticated
from tests.integration.clients.librdkafka import Librdkafka
from tests.integration.control_plane import API_KEY
from tests.integration.gateway import manifest
from tests.integration.office import BACKING, NOTICE_MS, Office, Shell, handed_out, save
from tests.integration.wire import Connection
from tests.integration.world import Account
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


async def test_a_second_password_and_the_end_of_the_first(office: Office, visitors: Visitors, shell: Shell) -> None:
    _share(office, "rotating", "rotator")
    page = await visitors.admin()
    await page.get_by_role("link", name="rotating").click()
    await expect(page.get_by_text("There is no password yet")).to_be_visible()
    await expect(page.locator("#status-part .status")).to_have_text("Ready", timeout=NOTICE_MS)

    await _new_password(page, "rotating", "never")
    first = await handed_out(page, "rotating", office)
    await asyncio.to_thread(Librdkafka(first).produce, "orders", RECORDS)
    await _new_password(page, "rotating", "in 30 days")
    second = await handed_out(page, "rotating", office)
    for name in ("config.properties", "consume.py", "list-topics.sh"):
        await save(page, name, shell.folder)
    listed, consumed = await asyncio.gather(shell.run("sh list-topics.sh"), shell.run("python consume.py"))
    assert listed.split() == ["invoices", "orders"]
    assert consumed.split("\n")[:2] == ["invoices", "orders"]

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
