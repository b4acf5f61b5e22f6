"""Passwords of a zone on its pages: made and shown once, and revoked."""

import base64
import re

import pytest

from controlplane.partner_zone import PartnerZone
from tests.unit.controlplane.api.conftest import Lines, resource
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.conftest import Browser

NAME = "external-partner-zone"


@pytest.fixture(autouse=True)
async def zone(service: MemoryService) -> None:
    await service.upsert(PartnerZone.model_validate(resource(NAME)))


async def test_a_new_password_is_shown_once_with_what_a_partner_needs(
    browser: Browser, service: MemoryService, lines: Lines
) -> None:
    assert 'value="90d" selected' in (await browser.open(f"/zones/{NAME}/credentials/new")).text
    answer = await browser.send(f"/zones/{NAME}/credentials", {"validity": "30d"})
    (password,) = re.findall(r'id="password">([^<]+)<', answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert "gateway:9094" in answer.text and answer.text.count(password) >= 4
    for name in ("config.properties", "Java", "librdkafka", "Python", "kafka-topics"):
        assert name in answer.text
    files = [base64.b64decode(each).decode() for each in re.findall(r'base64,([^"]+)"', answer.text)]
    assert any(text.startswith("bootstrap.servers=gateway:9094") and password in text for text in files)
    (credential,) = service.credentials(NAME)
    assert credential.expires is not None
    assert [line["action"] for line in lines.all[-1:]] == ["Admin.PartnerZone.TokenCreate"]
    assert lines.all[-1]["credential_id"] == credential.id and password not in str(lines.all)
    assert password not in (await browser.open(f"/zones/{NAME}")).text


@pytest.mark.parametrize("validity", ["", "1s", "forever", "91d"])
async def test_only_what_the_form_offers_is_taken(browser: Browser, service: MemoryService, validity: str) -> None:
    await browser.open(f"/zones/{NAME}/credentials/new")
    assert (await browser.send(f"/zones/{NAME}/credentials", {"validity": validity})).status_code == 400
    assert not service.credentials(NAME)


async def test_where_no_listener_lets_clients_in_it_is_said(browser: Browser, service: MemoryService) -> None:
    service.no_access = True
    await browser.open(f"/zones/{NAME}/credentials/new")
    answer = await browser.send(f"/zones/{NAME}/credentials", {"validity": "never"})
    assert "No listener of the gateway lets" in answer.text and 'id="password"' in answer.text


async def test_one_is_revoked_after_a_question(browser: Browser, service: MemoryService, lines: Lines) -> None:
    issued = [await service.generate(NAME, None) for _ in range(2)]
    first, second = (each.credential.id for each in issued)
    path = f"/zones/{NAME}/credentials/{first}/revoke"
    assert f"Revoke {first}?" in (await browser.open(path)).text
    answer = await browser.send(path)
    assert answer.url.path == f"/zones/{NAME}"
    assert [each.id for each in service.credentials(NAME)] == [second]
    assert (lines.all[-1]["action"], lines.all[-1]["credential_id"]) == ("Admin.PartnerZone.TokenRevoke", first)
    assert (await browser.open(path)).status_code == 404
    assert (await browser.send(path, token=browser.token())).status_code == 404


async def test_a_credential_of_another_zone_is_not_this_ones(browser: Browser, service: MemoryService) -> None:
    await service.upsert(PartnerZone.model_validate(resource("other", serviceAccount="other")))
    issued = await service.generate("other", None)
    await browser.open(f"/zones/{NAME}")
    assert (await browser.send(f"/zones/{NAME}/credentials/{issued.credential.id}/revoke")).status_code == 404
    assert service.credentials("other")


async def test_while_the_state_is_out_of_reach_nothing_is_made(browser: Browser, service: MemoryService) -> None:
    await browser.open(f"/zones/{NAME}/credentials/new")
    service.problem = "the brokers did not answer in time"
    answer = await browser.send(f"/zones/{NAME}/credentials", {"validity": "30d"})
    assert answer.status_code == 503 and "Nothing was written" in answer.text
