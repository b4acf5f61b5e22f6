"""The part of the form in which topics are chosen."""

import pytest

from controlplane.pages import topic_editor
from controlplane.pages.topic_editor import TopicEditor, new_alias
from controlplane.pages.visits import Form
from controlplane.pages.zone_form import ZoneForm
from policies.names import MAX_TOPIC_NAME
from tests.unit.controlplane.api.memory_service import MemoryService


@pytest.fixture
def service() -> MemoryService:
    service = MemoryService(("partner1", "partner2"))
    service.topics = {"partner1": ["orders"], "partner2": ["payments"]}
    return service


def _form(cluster: str = "partner1") -> ZoneForm:
    form = ZoneForm()
    form.texts["cluster"] = cluster
    return form


async def test_a_cluster_is_not_asked_with_each_press(service: MemoryService, monkeypatch: pytest.MonkeyPatch) -> None:
    editor, now = TopicEditor(service, keeps_one=False), [0.0]
    monkeypatch.setattr(topic_editor, "monotonic", lambda: now[0])
    assert list((await editor.topics(Form(), _form())).found) == ["orders"]
    service.topics["partner1"] = ["orders", "returns"]
    assert list((await editor.topics(Form(), _form())).found) == ["orders"]
    assert list((await editor.topics(Form(), _form("partner2"))).found) == ["payments"]
    now[0] += topic_editor.KEPT_SECONDS + 1
    assert list((await editor.topics(Form(), _form())).found) == ["orders", "returns"]


async def test_a_cluster_that_is_not_there_is_a_problem_and_no_failure(service: MemoryService) -> None:
    topics = await TopicEditor(service, keeps_one=False).topics(Form(), _form("partner3"))
    assert "'partner3' is not configured" in topics.problem and not topics.is_missing("orders")


async def test_what_no_button_says_changes_nothing(service: MemoryService) -> None:
    editor, form = TopicEditor(service, keeps_one=False), _form()
    for action, argument in (("add", ""), ("remove", "7"), ("remove", ""), ("nonsense", "x")):
        await editor.act(action, argument, Form(), form, {})
    assert form.topics == []


async def test_keys_of_rows_are_never_used_again_for_others(service: MemoryService) -> None:
    editor, form = TopicEditor(service, keeps_one=False), _form()
    for action, argument in (("add", "orders"), ("add", "orders"), ("remove", "0"), ("add", "orders")):
        topics = await editor.act(action, argument, Form(), form, {})
    assert [(row.key, row.alias) for row in form.topics] == [(1, "orders-2"), (2, "orders")]
    assert topics.shared["orders"] == 2


async def test_after_a_removal_the_next_row_has_the_focus(service: MemoryService) -> None:
    editor, form = TopicEditor(service, keeps_one=False), _form()
    for _ in range(3):
        await editor.act("add", "orders", Form(), form, {})
    focused = [(await editor.act("remove", key, Form(), form, {})).focus for key in ("1", "2", "0")]
    assert focused == [2, 0, None]


def test_a_second_alias_has_a_number_and_fits() -> None:
    assert new_alias("a", []) == "a"
    assert new_alias("a", ["a", "a-2"]) == "a-3"
    longest = "x" * MAX_TOPIC_NAME
    assert new_alias(longest, [longest]) == "x" * (MAX_TOPIC_NAME - 2) + "-2"
