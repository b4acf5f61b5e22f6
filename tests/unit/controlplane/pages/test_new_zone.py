"""The wizard, as a browser without JavaScript goes through it."""

import html
import re
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
import pytest

from controlplane.pages.zone_form import manifest_of
from controlplane.partner_zone import PartnerZone
from controlplane.yaml_source import parse_documents
from tests.unit.controlplane.api.conftest import Lines, resource
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.conftest import Browser
from tests.unit.controlplane.pages.form_fields import PageForm


class Wizard:
    """One that is open in the browser."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.form = PageForm("", "")

    async def open(self) -> None:
        await self.browser.open("/zones/new")
        self._look()

    async def press(self, button: str, **fields: str) -> httpx.Response:
        for name, value in fields.items():
            self.form.fill(name, value)
        answer = await self.browser.send("/zones/new", self.form.pressed(button))
        self._look()
        return answer

    async def enter(self, **fields: str) -> httpx.Response:
        """In a text field."""
        return await self.press(self.form.buttons[0], **fields)

    async def go_to_topics(self, **fields: str) -> None:
        await self.press("continue", **{"displayName": "Delivery Partner", "cluster": "partner1", **fields})
        assert self.step == "topics", self.browser.page

    async def go_to_review(self, **fields: str) -> None:
        await self.go_to_topics(**fields)
        await self.press("add:orders")
        await self.press("continue")
        await self.press("continue")
        assert self.step == "review", self.browser.page

    @property
    def step(self) -> str:
        return self.form.get("step")

    def error(self, field: str) -> str:
        found = re.search(rf'id="{re.escape(field)}-error">([^<]*)<', self.browser.page)
        return html.unescape(found[1]) if found else ""

    def _look(self) -> None:
        self.form = PageForm(self.browser.page, "/zones/new")


@pytest.fixture
def service() -> MemoryService:
    service = MemoryService(("partner1", "partner2"))
    service.topics["partner1"] = ["orders", "payments", "returns"]
    return service


@pytest.fixture
async def wizard(browser: Browser) -> Wizard:
    wizard = Wizard(browser)
    await wizard.open()
    return wizard


async def test_a_zone_is_made_with_all_that_was_filled_in(wizard: Wizard, service: MemoryService, lines: Lines) -> None:
    await wizard.go_to_topics(
        labels="team=shop",
        url="https://partner.example",
        description="Two\r\nlines",
        partnerName="Jane Roe",
        partnerEmail="jane@partner.example",
    )
    await wizard.press("add:orders")
    await wizard.press("add:payments")
    wizard.form.fill("alias", "shop-orders")
    wizard.form.fill("permission", "WRITE")
    await wizard.press("continue")
    wizard.form.switch("produceOn", on=True)
    wizard.form.switch("commitOn", on=True)
    await wizard.press("continue", produce="1.5", commit="60")
    assert wizard.step == "review" and "1.5 MiB/s" in wizard.browser.page
    answer = await wizard.press("create", validity="30d")
    assert answer.status_code == 200
    made = service.zone("delivery-partner").resource
    assert manifest_of(made) == manifest_of(PartnerZone.model_validate(_EXPECTED))
    (credential,) = service.credentials("delivery-partner")
    assert credential.expires is not None
    days = (datetime.fromisoformat(credential.expires) - datetime.now(UTC)).total_seconds() / 86_400
    assert round(days) == 30
    actions = [(line["action"], line["outcome"]) for line in lines.all if line["event"] == "api_change"]
    assert actions == [("Admin.PartnerZone.Create", "success"), ("Admin.PartnerZone.TokenCreate", "success")]


_EXPECTED = {
    "apiVersion": "v2",
    "kind": "PartnerZone",
    "metadata": {"name": "delivery-partner", "labels": {"team": "shop"}},
    "spec": {
        "cluster": "partner1",
        "displayName": "Delivery Partner",
        "description": "Two\nlines",
        "url": "https://partner.example",
        "serviceAccount": "delivery-partner",
        "topics": [
            {"name": "shop-orders", "backingTopic": "orders", "permission": "WRITE"},
            {"name": "payments", "backingTopic": "payments", "permission": "READ"},
        ],
        "partner": {"name": "Jane Roe", "email": "jane@partner.example"},
        "trafficControlPolicies": {"maxProduceRate": 1_572_864, "limitCommitOffset": 60},
    },
}


async def test_the_review_shows_what_apply_takes(wizard: Wizard, service: MemoryService) -> None:
    await wizard.go_to_review(description='a: "b" <c> #')
    shown = re.search(r'<code id="yaml">(.*?)</code>', wizard.browser.page, re.DOTALL)
    download = re.search(r'href="data:[^,]*,([^"]*)" download="delivery-partner\.yaml"', wizard.browser.page)
    assert shown and download
    text = html.unescape(shown[1])
    assert unquote(html.unescape(download[1])) == text
    (document,) = parse_documents(text, "zone.yaml")
    await wizard.press("create")
    made = service.zone("delivery-partner").resource
    assert manifest_of(PartnerZone.model_validate(document.data)) == manifest_of(made)


async def test_whoever_has_no_password_comes_to_the_zone(wizard: Wizard, service: MemoryService) -> None:
    await wizard.go_to_review(mode="MTLS")
    answer = await wizard.press("create")
    assert answer.url.path == "/zones/delivery-partner" and not service.credentials()
    assert service.zone("delivery-partner").resource.mode == "MTLS"


async def test_what_is_wrong_with_details_is_said_before_one_goes_on(wizard: Wizard, service: MemoryService) -> None:
    await service.upsert(PartnerZone.model_validate(resource()))
    answer = await wizard.press("continue", partnerRole="Buyer")
    assert answer.status_code == 400 and wizard.step == "details"
    assert "Write a name" in wizard.error("displayName") and "Choose a cluster" in wizard.error("cluster")
    assert "contact's name" in wizard.error("partnerName") and wizard.form.get("partnerRole") == "Buyer"
    assert 'href="#partnerName"' in wizard.browser.page and 'role="alert"' in wizard.browser.page
    fields = {"displayName": "X", "cluster": "partner1", "partnerName": "Jane"}
    await wizard.press("continue", **fields, name="external-partner-zone")
    assert "There is a zone external-partner-zone already" in wizard.error("name")
    await wizard.press("continue", name="x", serviceAccount="johndoe")
    assert "belongs to zone 'external-partner-zone'" in wizard.error("serviceAccount")
    await wizard.press("continue", serviceAccount="x")
    assert wizard.step == "topics"


async def test_names_for_which_no_technical_id_can_be_made(wizard: Wizard) -> None:
    await wizard.press("continue", displayName="Партнёр", cluster="partner1")
    assert "none can be made from this name" in wizard.error("name")


async def test_the_only_cluster_is_chosen_and_any_may_be_written(wizard: Wizard, service: MemoryService) -> None:
    service.cluster_ids = ("partner1",)
    await wizard.open()
    assert wizard.form.get("cluster") == "partner1"
    service.cluster_ids = None
    await wizard.open()
    assert '<input id="cluster"' in wizard.browser.page


async def test_topics_are_added_renamed_and_removed(wizard: Wizard) -> None:
    await wizard.go_to_topics()
    await wizard.press("add:orders")
    await wizard.press("add:orders")
    await wizard.press("add:payments")
    assert wizard.form.all("alias") == ["orders", "orders-2", "payments"]
    assert wizard.form.all("permission") == ["READ"] * 3
    for label in ("Remove orders-2", "Rename orders-2", "Add orders again", "What the partner may do with orders-2"):
        assert f'aria-label="{label}"' in wizard.browser.page
    wizard.form.fill("alias", "renamed", at=1)
    await wizard.press("remove:0")
    assert wizard.form.all("alias") == ["renamed", "payments"] and wizard.form.all("topic") == ["orders", "payments"]
    assert 'data-said="orders is not shared any more; 2 in all"' in wizard.browser.page
    await wizard.press("remove:1")
    await wizard.press("remove:2")
    answer = await wizard.press("continue")
    assert answer.status_code == 400 and wizard.error("topics") == "Share at least one topic."


async def test_topics_that_break_a_rule_are_told_beside_their_row(wizard: Wizard) -> None:
    await wizard.go_to_topics()
    await wizard.press("add:orders")
    await wizard.press("add:orders")
    for at in (0, 1):
        wizard.form.fill("permission", "WRITE", at)
    await wizard.press("continue")
    assert wizard.step == "topics" and "only one alias" in wizard.error("permission-1")
    wizard.form.fill("permission", "READ", 1)
    wizard.form.fill("alias", "orders", 1)
    await wizard.press("continue")
    assert "is named 'orders' already" in wizard.error("alias-1")
    assert 'id="alias-1"' in wizard.browser.page and 'href="#alias-1"' in wizard.browser.page


async def test_ten_thousand_topics_are_found_by_name(wizard: Wizard, service: MemoryService) -> None:
    service.topics["partner1"] = [f"topic-{number:05}" for number in range(10_000)]
    await wizard.go_to_topics()
    assert len(wizard.form.buttons) < 220 and "The first 200 of 10,000 topics" in wizard.browser.page
    await wizard.press("find", search="TOPIC 0123")
    assert [each for each in wizard.form.buttons if each.startswith("add:")] == [
        "add:topic-00123",
        *(f"add:topic-0123{digit}" for digit in range(10)),
    ]
    await wizard.press("find", search="nothing")
    assert "None of 10,000 topics has such a name" in wizard.browser.page


async def test_a_zone_of_a_thousand_topics_travels_through_all_steps(wizard: Wizard, service: MemoryService) -> None:
    await wizard.go_to_topics()
    for number in range(1000):
        name = f"topic-{number:04}"
        wizard.form.pairs += [("row", str(number)), ("topic", name), ("alias", name), ("permission", "READ")]
    await wizard.press("add:orders")
    await wizard.press("continue")
    await wizard.press("continue")
    await wizard.press("create")
    assert len(service.zone("delivery-partner").resource.spec.topics) == 1001


async def test_topics_are_written_where_the_cluster_is_out_of_reach(wizard: Wizard, service: MemoryService) -> None:
    service.cluster_problem = "nobody answers"
    await wizard.go_to_topics()
    assert "nobody answers" in wizard.browser.page and "add:orders" not in wizard.form.buttons
    await wizard.press("type", typed="a b")
    assert "not a legal topic name" in wizard.error("typed") and wizard.form.get("typed") == "a b"
    await wizard.enter(typed="far-away")
    assert wizard.form.all("topic") == ["far-away"] and wizard.form.get("typed") == ""
    await wizard.enter()
    assert wizard.step == "limits"


async def test_a_topic_that_the_cluster_lacks_is_told(wizard: Wizard) -> None:
    await wizard.go_to_topics()
    await wizard.press("type", typed="absent")
    assert "The cluster has no topic absent" in wizard.browser.page


async def test_enter_goes_on_but_searches_where_one_searches(wizard: Wizard) -> None:
    await wizard.enter(displayName="Delivery Partner", cluster="partner1")
    assert wizard.step == "topics"
    await wizard.enter(search="pay")
    assert wizard.step == "topics" and "add:payments" in wizard.form.buttons and "add:orders" not in wizard.form.buttons
    await wizard.press("add:payments")
    await wizard.enter()
    assert wizard.step == "limits"
    await wizard.enter()
    assert wizard.step == "review"


async def test_limits_that_are_wrong_are_told_and_those_switched_off_are_not(wizard: Wizard) -> None:
    await wizard.go_to_review()
    await wizard.press("to:limits")
    wizard.form.switch("produceOn", on=True)
    wizard.form.switch("commitOn", on=True)
    await wizard.press("continue", produce="0.1", consume="nonsense", commit="0")
    assert wizard.step == "limits" and "not whole bytes" in wizard.error("produce")
    assert "too small" in wizard.error("commit") and wizard.error("consume") == ""
    wizard.form.switch("commitOn", on=False)
    await wizard.press("continue", produce="1")
    assert wizard.step == "review"
    await wizard.press("to:limits")
    assert (wizard.form.get("consume"), wizard.form.get("commit")) == ("nonsense", "0")


async def test_one_goes_back_and_forth_without_losing_anything(wizard: Wizard) -> None:
    await wizard.go_to_review(description="Why")
    await wizard.press("back", validity="never")
    await wizard.press("back")
    await wizard.press("back")
    assert wizard.step == "details" and wizard.form.get("description") == "Why"
    await wizard.press("continue", displayName="Renamed")
    await wizard.press("continue")
    await wizard.press("continue")
    assert "<dd>Renamed</dd>" in wizard.browser.page and "<dd>delivery-partner</dd>" in wizard.browser.page
    assert wizard.form.get("validity") == "never"
    review = wizard.form
    for part in ("details", "topics", "limits"):
        wizard.form = review
        await wizard.press(f"to:{part}")
        assert wizard.step == part


async def test_a_zone_that_exists_by_now_is_not_overwritten(
    wizard: Wizard, service: MemoryService, lines: Lines
) -> None:
    await wizard.go_to_review()
    await service.upsert(PartnerZone.model_validate(resource("delivery-partner")))
    answer = await wizard.press("create")
    assert answer.status_code == 412 and wizard.step == "details"
    assert "There is a zone delivery-partner already" in wizard.error("name")
    assert service.zone("delivery-partner").version == 1
    assert lines.all[-1]["outcome"] == "failure" and not service.credentials()


async def test_while_the_state_is_out_of_reach_nothing_is_lost(wizard: Wizard, service: MemoryService) -> None:
    await wizard.go_to_review()
    service.problem = "the brokers did not answer"
    answer = await wizard.press("create")
    assert answer.status_code == 503 and wizard.step == "review" and "Nothing was written" in answer.text
    service.problem = ""
    await wizard.press("create")
    assert service.zone("delivery-partner").version == 1


async def test_a_password_that_could_not_be_made_is_told(
    wizard: Wizard, service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wizard.go_to_review()

    async def fail(*_: object) -> None:
        service.problem = "the brokers did not answer"
        service._check_writable()

    monkeypatch.setattr(service, "generate", fail)
    answer = await wizard.press("create")
    assert answer.status_code == 503 and "The zone delivery-partner was made, but its password was not" in answer.text


@pytest.mark.parametrize("step", ["", "nonsense", "review"])
async def test_forms_that_nobody_was_given_make_nothing(browser: Browser, service: MemoryService, step: str) -> None:
    await browser.open("/zones/new")
    answer = await browser.send("/zones/new", [("step", step), ("do", "create"), ("row", "x"), ("do", "to:nowhere")])
    assert answer.status_code == 400 and not service.zones()


async def test_what_people_write_is_shown_as_text(wizard: Wizard) -> None:
    hostile = '"><script>alert(1)</script>'
    await wizard.go_to_topics(description=hostile, url=hostile, partnerName=hostile)
    await wizard.press("type", typed=hostile)
    assert wizard.error("typed")
    wizard.form.pairs += [("row", "0"), ("topic", hostile), ("alias", hostile), ("permission", hostile)]
    pages = [wizard.browser.page]
    for button in ("continue", "find", "back"):
        await wizard.press(button)
        pages.append(wizard.browser.page)
    for page in pages:
        assert "&lt;script&gt;alert" in page
        assert "<script>alert" not in page and not re.search(r"<[^>]*\s(style|on[a-z]+)=", page)
