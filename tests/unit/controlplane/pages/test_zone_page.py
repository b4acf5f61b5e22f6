"""The page of one zone, and deleting it."""

import re

import pytest
import yaml

from controlplane.pages.visits import zone_address
from controlplane.pages.zone_page import manifest_text
from controlplane.partner_zone import PartnerZone
from controlplane.zone_activity import AliasUse, ConnectedClient, Minute, Rates, RecentRefusal, ZoneActivity
from controlplane.zone_service import Condition, Status
from tests.unit.controlplane.api.conftest import Lines, resource
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.conftest import NOW, Browser
from tests.unit.controlplane.pages.memory_activity import MemoryActivity

NAME = "external-partner-zone"
LIMITS = {"maxProduceRate": 1048576, "limitCommitOffset": 600}


@pytest.fixture
async def zone(service: MemoryService) -> None:
    fields = resource(NAME, trafficControlPolicies=LIMITS)
    await service.upsert(PartnerZone.model_validate(fields))
    service.set_status(NAME, Status.READY)


@pytest.mark.usefixtures("zone")
async def test_it_shows_what_is_shared_and_with_whom(browser: Browser) -> None:
    page = (await browser.open(f"/zones/{NAME}")).text
    for text in ("External Partner Zone", "https://partner1.com", "kafka-topic-a", "Read and write", "Data analyst"):
        assert text in page
    assert 'href="mailto:johndoe@company.io"' in page
    assert "sasl.mechanism=PLAIN" in page and "***************" in page


@pytest.mark.usefixtures("zone")
async def test_it_shows_what_the_status_is_made_of(browser: Browser, service: MemoryService) -> None:
    service.conditions_of[NAME] = [
        Condition("Stored", True, "as version 1"),
        Condition("In force", None, "on 1 of 2 gateways; gateway-b is behind"),
        Condition("Topics", False, "backing topic 'kafka-topic-a' does not exist"),
    ]
    page = (await browser.open(f"/zones/{NAME}")).text
    assert re.findall(r'<li class="(met|unmet|unknown)"><b>([^<]+)</b>', page) == [
        ("met", "Stored"),
        ("unknown", "In force"),
        ("unmet", "Topics"),
    ]
    assert "gateway-b is behind" in page


@pytest.mark.usefixtures("zone")
async def test_it_shows_what_the_partner_is_doing(browser: Browser, activity: MemoryActivity) -> None:
    minutes = [
        Minute(NOW - 60 * ago, produced_bytes=1024 * (ago == 3), consumed_records=ago) for ago in range(59, -1, -1)
    ]
    activity.zones[NAME] = ZoneActivity(
        minutes,
        Rates(produce=524288, commit=30),
        [ConnectedClient("orders-writer", "librdkafka 2.12", "johndoe", "203.0.113.9", "gateway-a", NOW - 7200, 2)],
        2,
        [
            RecentRefusal(
                NOW - 90,
                "Produce",
                "WRITE",
                "topic",
                "topic-b",
                "topic_authorization_failed",
                "johndoe",
                "203.0.113.9",
                17,
            )
        ],
        {"topic-a": [AliasUse("orders-writer", "johndoe", "203.0.113.9", NOW - 3)]},
    )
    page = (await browser.open(f"/zones/{NAME}")).text
    assert (
        'aria-valuenow="50.0"' in page and "512 KiB/s of 1 MiB/s" in page and "30 per minute of 600 per minute" in page
    )
    assert "0 B/s, no limit" in page
    assert "Bytes produced by minute: 1 KiB in the last hour" in page and "Records consumed by minute: 1,770" in page
    assert "librdkafka 2.12" in page and "2 connections" in page and "2 hours ago" in page
    assert "topic_authorization_failed" in page and "1 minute ago" in page and ">17<" in page
    used = re.search(r"topic-a</th>.*?</tr>", page, re.DOTALL)
    assert used is not None and "orders-writer" in used[0] and "nobody in the last hour" not in used[0]


@pytest.mark.usefixtures("zone")
async def test_it_says_what_is_not_known_rather_than_nothing(browser: Browser, activity: MemoryActivity) -> None:
    activity.problem = "the topic can't be read"
    page = (await browser.open(f"/zones/{NAME}")).text
    assert page.count("the topic can&#39;t be read") >= 3 and "Nobody is connected" not in page


@pytest.mark.usefixtures("zone")
async def test_its_yaml_is_what_apply_takes(browser: Browser, service: MemoryService) -> None:
    text = manifest_text(service.zone(NAME))
    assert yaml.safe_load(text)["metadata"] == {"name": NAME}
    assert PartnerZone.model_validate(yaml.safe_load(text)) == service.zone(NAME).resource
    page = (await browser.open(f"/zones/{NAME}")).text
    assert "backingTopic: kafka-topic-a" in page and f'download="{NAME}.yaml"' in page


@pytest.mark.parametrize("mode", ["OAUTHBEARER", "MTLS"])
async def test_a_zone_without_passwords_says_so(browser: Browser, service: MemoryService, mode: str) -> None:
    fields = resource(NAME, authenticationMode={"type": mode, "serviceAccount": "johndoe"}, serviceAccount=None)
    await service.upsert(PartnerZone.model_validate(fields))
    page = (await browser.open(f"/zones/{NAME}")).text
    assert "The zone has no passwords" in page and "credentials/new" not in page
    assert "authenticationMode" in manifest_text(service.zone(NAME))


@pytest.mark.parametrize("name", [".", "..", "new", "-", "a.b_c"])
async def test_a_zone_may_have_any_name(browser: Browser, service: MemoryService, name: str) -> None:
    await service.upsert(PartnerZone.model_validate(resource(name, displayName="The one")))
    await browser.open("/zones")
    (address,) = re.findall(r'<a href="(/zones/[^"/]+)">The one', browser.page)
    assert address == zone_address(name)
    answer = await browser.open(address)
    assert answer.status_code == 200 and f"<code>{name}</code>" in answer.text


async def test_a_zone_that_is_not_there_is_said(browser: Browser) -> None:
    for path in ("/zones/nothing", "/zones/nothing/delete", "/zones/nothing/credentials/new"):
        answer = await browser.open(path)
        assert answer.status_code == 404 and "nothing" in answer.text


@pytest.mark.usefixtures("zone")
async def test_deleting_wants_the_word(browser: Browser, service: MemoryService, lines: Lines) -> None:
    page = (await browser.open(f"/zones/{NAME}/delete")).text
    assert "The 1 topic behind it" in page, "which has two aliases"
    version = re.findall(r'name="version" value="(\d+)"', page)[0]
    for wrong in ("", "delete", "DELETE it"):
        answer = await browser.send(f"/zones/{NAME}/delete", {"confirmation": wrong, "version": version})
        assert answer.status_code == 400 and "Type DELETE" in answer.text
    assert service.zone(NAME).version == 1
    answer = await browser.send(f"/zones/{NAME}/delete", {"confirmation": "DELETE", "version": version})
    assert answer.url.path == "/zones" and not list(service.zones())
    assert lines.all[-1]["action"] == "Admin.PartnerZone.Delete" and lines.all[-1]["outcome"] == "success"


@pytest.mark.usefixtures("zone")
async def test_what_was_changed_meanwhile_is_not_deleted(browser: Browser, service: MemoryService) -> None:
    await browser.open(f"/zones/{NAME}/delete")
    await service.upsert(PartnerZone.model_validate(resource(NAME, displayName="Another")))
    answer = await browser.send(f"/zones/{NAME}/delete", {"confirmation": "DELETE", "version": "1"})
    assert answer.status_code == 412 and service.zone(NAME).version == 2
    for version in ("", "x", "9" * 30):
        answer = await browser.send(f"/zones/{NAME}/delete", {"confirmation": "DELETE", "version": version})
        assert answer.status_code == 400 and service.zone(NAME).version == 2
