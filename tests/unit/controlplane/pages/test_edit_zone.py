"""The page on which a zone is edited, in a browser without JavaScript."""

import html
import re

import httpx
import pytest

from controlplane.pages import edit_zone
from controlplane.pages.zone_form import manifest_of
from controlplane.partner_zone import PartnerZone
from controlplane.zone_activity import AliasUse, ZoneActivity
from tests.unit.controlplane.api.conftest import Lines, resource
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.conftest import NOW, Browser
from tests.unit.controlplane.pages.form_fields import PageForm
from tests.unit.controlplane.pages.memory_activity import MemoryActivity

NAME = "external-partner-zone"
EDIT = f"/zones/{NAME}/edit"
HEADERS = {"addOnProduce": [], "removeOnConsume": [{"keyRegex": "^internal-.*"}]}


class Editor:
    """A page of it that is open in the browser."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.form = PageForm("", EDIT)

    async def open(self) -> None:
        await self.browser.open(EDIT)
        self.form = PageForm(self.browser.page, EDIT)

    async def press(self, button: str, **fields: str) -> httpx.Response:
        for name, value in fields.items():
            self.form.fill(name, value)
        answer = await self.browser.send(EDIT, self.form.pressed(button))
        self.form = PageForm(self.browser.page, EDIT)
        return answer

    def error(self, field: str) -> str:
        found = re.search(rf'id="{re.escape(field)}-error">([^<]*)<', self.browser.page)
        return html.unescape(found[1]) if found else ""

    @property
    def text(self) -> str:
        """What people read, without the page's elements."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.browser.page)).split())


def _is_saved(answer: httpx.Response) -> bool:
    return answer.url.path == f"/zones/{NAME}" and answer.url.query == b"saved"


def _stored(service: MemoryService) -> PartnerZone:
    return service.zone(NAME).resource


async def _store(service: MemoryService, **spec: object) -> None:
    """What somebody else saves."""
    zone = manifest_of(_stored(service))
    zone["spec"] |= spec
    await service.upsert(PartnerZone.model_validate(zone))


@pytest.fixture
async def service() -> MemoryService:
    service = MemoryService(("partner1", "partner2"))
    service.topics["partner1"] = ["kafka-topic-a", "orders"]
    await service.upsert(PartnerZone.model_validate(resource(headers=HEADERS)))
    return service


@pytest.fixture
async def editor(browser: Browser) -> Editor:
    editor = Editor(browser)
    await editor.open()
    return editor


async def test_all_parts_of_a_zone_are_edited_on_one_page(editor: Editor, service: MemoryService, lines: Lines) -> None:
    await editor.press("add:orders")
    editor.form.switch("consumeOn", on=True)
    editor.form.fill("consumeUnit", "KiB")
    fields = {"displayName": "Renamed", "description": "Why", "labels": "team=shop", "partnerPhone": ""}
    answer = await editor.press("save", consume="64", **fields)
    assert _is_saved(answer), answer.text
    expected = resource(headers=HEADERS, displayName="Renamed", description="Why")
    expected["metadata"]["labels"] = {"team": "shop"}
    expected["spec"]["topics"].append({"name": "orders", "backingTopic": "orders", "permission": "READ"})
    expected["spec"]["trafficControlPolicies"] = {"maxConsumeRate": 65_536}
    del expected["spec"]["partner"]["phone"]
    assert manifest_of(_stored(service)) == manifest_of(PartnerZone.model_validate(expected))
    assert lines.all[-1]["action"] == "Admin.PartnerZone.Update" and lines.all[-1]["outcome"] == "success"


async def test_saving_nothing_changes_nothing(editor: Editor, service: MemoryService, lines: Lines) -> None:
    before, told = service.zone(NAME), len(lines.all)
    answer = await editor.press("save")
    assert answer.url.path == f"/zones/{NAME}" and answer.url.query == b""
    assert service.zone(NAME) == before and len(lines.all) == told


async def test_name_and_cluster_are_not_to_be_changed_here(editor: Editor, service: MemoryService) -> None:
    assert not editor.form.all("name") and not editor.form.all("cluster")
    editor.form.pairs += [("name", "other"), ("cluster", "partner2")]
    await editor.press("save", url="https://x.example")
    assert _stored(service).spec.cluster == "partner1" and len(service.zones()) == 1


async def test_enter_saves(editor: Editor, service: MemoryService) -> None:
    assert _is_saved(await editor.press(editor.form.buttons[0], url="https://x.example"))
    assert _stored(service).spec.url == "https://x.example"


async def test_policies_are_open_where_any_is_set(editor: Editor, service: MemoryService) -> None:
    assert not re.search(r'<details class="card policies" open>', editor.browser.page)
    await _store(service, trafficControlPolicies={"maxProduceRate": 1024})
    await editor.open()
    assert re.search(r'<details class="card policies" open>', editor.browser.page)


async def test_what_is_wrong_is_said_beside_its_field(editor: Editor, service: MemoryService) -> None:
    await service.upsert(PartnerZone.model_validate(resource("other", serviceAccount="taken")))
    editor.form.fill("alias", "a b")
    answer = await editor.press("save", partnerName="", labels="team")
    assert answer.status_code == 400 and "is not a legal topic name" in editor.error("alias-0")
    assert editor.error("partnerName") and editor.error("labels")
    for field in ("alias-0", "partnerName", "labels"):
        assert f'href="#{field}"' in editor.browser.page and f'id="{field}"' in editor.browser.page
    assert 'role="alert"' in editor.browser.page and editor.form.get("labels") == "team"
    await editor.open()
    answer = await editor.press("save", serviceAccount="taken")
    assert "are refused" in editor.text
    answer = await editor.press("save")
    assert answer.status_code == 409 and "belongs to zone 'other'" in editor.error("serviceAccount")


async def test_the_last_topic_stays(editor: Editor, service: MemoryService) -> None:
    await editor.press("remove:0")
    assert editor.form.all("alias") == ["topic-b"] and editor.form.disabled == ["remove:1"]
    assert 'aria-describedby="last-topic"' in editor.browser.page and "delete the zone instead" in editor.text
    editor.form.buttons.append("remove:1")
    await editor.press("remove:1")
    assert editor.form.all("alias") == ["topic-b"] and "delete the zone instead" in editor.error("topics")
    editor.form.pairs = [pair for pair in editor.form.pairs if pair[0] not in ("row", "topic", "alias", "permission")]
    answer = await editor.press("save")
    assert answer.status_code == 400 and "delete the zone instead" in editor.error("topics")
    assert len(_stored(service).spec.topics) == 2


async def test_what_partners_lose_is_asked_about_first(
    editor: Editor, service: MemoryService, activity: MemoryActivity
) -> None:
    use = AliasUse("warehouse", "johndoe", "203.0.113.9", NOW - 120)
    activity.zones[NAME] = ZoneActivity(uses={"topic-a": [use]})
    editor.form.fill("alias", "renamed")
    await editor.press("remove:1")
    await editor.press("save")
    assert len(_stored(service).spec.topics) == 2
    assert (
        "Partners that use topic-a won't find it any more and get an error. The topic is called renamed then."
        in editor.text
    )
    assert "warehouse (johndoe, 203.0.113.9) used it 2 minutes ago" in editor.text
    assert "Partners that use topic-b won't find it any more" in editor.text
    assert "No client used it in the last hour." in editor.text and "Save all the same" in editor.text
    assert _is_saved(await editor.press("save"))
    assert [topic.name for topic in _stored(service).spec.topics] == ["renamed"]


async def test_other_losses_are_asked_about_anew(editor: Editor, service: MemoryService) -> None:
    editor.form.fill("alias", "renamed")
    await editor.press("save")
    assert editor.form.get("confirmed")
    editor.form.fill("alias", "again")
    await editor.press("save")
    assert "The topic is called again then" in editor.text and _stored(service).spec.topics[0].name == "topic-a"
    editor.form.fill("alias", "topic-a")
    answer = await editor.press("save", url="https://x.example")
    assert _is_saved(answer)


async def test_that_uses_are_not_known_is_said(editor: Editor, activity: MemoryActivity) -> None:
    activity.problem = "no gateway tells"
    editor.form.fill("permission", "READ")
    await editor.press("save")
    assert "Partners that write to topic-a can't any more and get an error." in editor.text
    assert "isn't known: no gateway tells" in editor.text and "No client" not in editor.text


async def test_an_alias_of_another_topic_and_another_sign_in_are_losses(editor: Editor, service: MemoryService) -> None:
    editor.form.fill("topic", "orders", at=1)
    await editor.press("save", serviceAccount="jane", mode="MTLS")
    assert "Partners that use topic-b get another topic: orders, not kafka-topic-a." in editor.text
    assert "Clients that sign in as johndoe are refused" in editor.text
    assert "Clients that sign in with PLAIN are refused" in editor.text
    assert _stored(service).mode == "PLAIN"
    await editor.press("save")
    assert _stored(service).mode == "MTLS" and _stored(service).spec.service_account == "jane"


async def test_somebody_elses_edit_is_shown_and_not_overwritten(editor: Editor, service: MemoryService) -> None:
    topics = manifest_of(_stored(service))["spec"]["topics"]
    topics[1]["permission"] = "READ"
    added = [*topics, {"name": "new", "backingTopic": "orders", "permission": "WRITE"}]
    await _store(service, url="https://theirs.example", topics=added, trafficControlPolicies={"maxProduceRate": 1024})
    answer = await editor.press("save", description="Mine")
    assert answer.status_code == 412 and _stored(service).spec.description is None
    assert "Somebody else has saved this zone since you opened it" in editor.text
    assert "URL https://partner1.com https://theirs.example" in editor.text
    assert "Topic new not shared orders, Read/Write" in editor.text and "Produce rate no limit 1 KiB/s" in editor.text
    assert editor.form.get("description") == "Mine"
    await editor.press("save")
    assert "Somebody else has saved" in editor.text and _stored(service).spec.description is None
    await editor.press("overwrite")
    assert "Partners that use new won't find it any more" in editor.text
    assert _is_saved(await editor.press("save"))
    stored = _stored(service)
    assert (stored.spec.description, stored.spec.url) == ("Mine", "https://partner1.com")
    assert stored.spec.headers is not None, "what the form doesn't show stays"


async def test_their_version_is_taken_over_by_opening_the_page_again(editor: Editor, service: MemoryService) -> None:
    await _store(service, url="https://theirs.example")
    await editor.press("save", description="Mine")
    assert f'href="{EDIT}"' in editor.browser.page
    await editor.open()
    assert editor.form.get("url") == "https://theirs.example" and editor.form.get("description") == ""


async def test_whoever_is_faster_again_is_not_overwritten_either(editor: Editor, service: MemoryService) -> None:
    await _store(service, url="https://theirs.example")
    await editor.press("save", description="Mine")
    await _store(service, url="https://again.example")
    answer = await editor.press("overwrite")
    assert answer.status_code == 412 and "https://again.example" in editor.text
    assert _is_saved(await editor.press("overwrite"))
    assert _stored(service).spec.description == "Mine"


async def test_who_is_faster_while_it_is_written(
    editor: Editor, service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert = service.upsert

    async def late(*arguments: object, **named: object) -> object:
        monkeypatch.setattr(service, "upsert", upsert)
        await _store(service, url="https://theirs.example")
        return await upsert(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(service, "upsert", late)
    answer = await editor.press("save", description="Mine")
    assert answer.status_code == 412 and "URL https://partner1.com https://theirs.example" in editor.text
    assert editor.form.get("description") == "Mine"


@pytest.mark.parametrize("base", ["", "nonsense", "eJwDAAAAAAE="])
async def test_a_beginning_that_cannot_be_read_is_not_known(editor: Editor, service: MemoryService, base: str) -> None:
    await _store(service, url="https://theirs.example")
    await editor.press("save", base=base, description="Mine")
    assert "What was changed isn't known any more" in editor.text


async def test_many_differences_are_cut(
    editor: Editor, service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edit_zone, "SHOWN_DIFFERENCES", 1)
    await _store(service, url="https://theirs.example", description="Theirs", displayName="Theirs")
    await editor.press("save", url="https://mine.example")
    assert "And 2 more changes." in editor.text


async def test_while_the_state_is_out_of_reach_nothing_is_lost(editor: Editor, service: MemoryService) -> None:
    service.problem = "the brokers did not answer"
    answer = await editor.press("save", description="Mine")
    assert answer.status_code == 503 and "Nothing was written" in editor.text
    service.problem = ""
    assert _is_saved(await editor.press("save"))
    assert _stored(service).spec.description == "Mine"


async def test_zones_that_come_from_files_say_so(editor: Editor, service: MemoryService) -> None:
    service.from_files = True
    answer = await editor.press("save", description="Mine")
    assert answer.status_code == 409 and "change them there" in editor.text


async def test_there_is_no_page_for_a_zone_that_is_not_there(editor: Editor, service: MemoryService) -> None:
    assert (await editor.browser.open("/zones/nothing/edit")).status_code == 404
    await service.delete(NAME)
    assert (await editor.press("save")).status_code == 404


async def test_zones_with_names_that_mean_something_in_a_path(browser: Browser, service: MemoryService) -> None:
    await service.upsert(PartnerZone.model_validate(resource("new", serviceAccount="new")))
    await browser.open("/zones/:new/edit")
    form = PageForm(browser.page, "/zones/:new/edit")
    form.fill("url", "https://x.example")
    answer = await browser.send("/zones/:new/edit", form.pressed("save"))
    assert answer.url.path == "/zones/:new" and service.zone("new").resource.spec.url == "https://x.example"


async def test_a_thousand_topics_are_edited(editor: Editor, service: MemoryService) -> None:
    names = [f"topic-{number:04}" for number in range(1000)]
    topics = [{"name": name, "backingTopic": name, "permission": "READ"} for name in names]
    await _store(service, topics=topics)
    await editor.open()
    await editor.press("add:orders")
    editor.form.fill("permission", "WRITE", at=999)
    assert _is_saved(await editor.press("save"))
    assert len(_stored(service).spec.topics) == 1001 and _stored(service).spec.topics[999].permission == "WRITE"
