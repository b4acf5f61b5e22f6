"""The form of a zone: what it holds, and the manifest that is made of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.pages import zone_form
from controlplane.pages.rendering import STATIC
from controlplane.pages.visits import Form
from controlplane.pages.zone_checks import checked, refused
from controlplane.pages.zone_form import (
    NOT_IN_NAMES,
    PATHS,
    Errors,
    TopicRow,
    ZoneForm,
    derived,
    labels_text,
    manifest_of,
    read_labels,
)
from controlplane.partner_zone import PartnerZone
from controlplane.zone_service import Conflict
from policies.names import check_zone_name
from tests.unit.controlplane.api.conftest import resource

ALPHABET = "azAZ09._- ,=&<>\"'é\u00a0\n\r\t\u2028"
texts = st.text(ALPHABET, max_size=12)
names = st.text("abz019._-", min_size=1, max_size=8).filter(lambda name: name not in (".", ".."))
topics = st.lists(
    st.fixed_dictionaries({"name": names, "backingTopic": names, "permission": st.just("READ")}),
    min_size=1,
    max_size=4,
    unique_by=lambda topic: topic["name"],
)
partners = st.fixed_dictionaries({"name": texts.filter(str.strip)}, optional={"role": texts, "phone": texts})
policies = st.fixed_dictionaries({}, optional={"maxProduceRate": st.integers(1, 2**63 - 1)})
specs = st.fixed_dictionaries(
    {"topics": topics},
    optional={
        "displayName": texts,
        "url": texts,
        "description": texts,
        "partner": partners,
        "trafficControlPolicies": policies,
        "headers": st.just({"removeOnConsume": [{"keyRegex": "^internal-.*"}]}),
        "authenticationMode": st.sampled_from(
            [{"type": mode, "serviceAccount": "johndoe"} for mode in ("PLAIN", "MTLS", "OAUTHBEARER")]
        ),
    },
)
zones = st.builds(
    lambda spec, labels: PartnerZone.model_validate(_zone(spec, labels)), specs, st.dictionaries(texts, texts)
)


def _zone(spec: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    zone = resource()
    zone["metadata"]["labels"] = labels
    zone["spec"] = {"cluster": "partner1", "serviceAccount": "johndoe", **spec}
    return zone


def _sent(form: ZoneForm) -> Form:
    """What a browser sends of the form's page: lines end otherwise, and those of one line have no ends."""
    fields = [(name, re.sub("\r\n|\r|\n", "\r\n", text)) for name, text in form.texts.items()]
    for row in form.topics:
        key = str(row.key)
        fields += [("row", key), ("topic", row.topic), ("alias", row.alias), ("permission", row.permission)]
    for limit in form.limits:
        name = limit.kind.field
        fields += [(f"{name}On", "on")] if limit.is_on else []
        fields += [(name, limit.amount), (f"{name}Unit", limit.unit)]
    return Form(fields)


@given(zones)
def test_a_form_that_nobody_touches_changes_nothing(zone: PartnerZone) -> None:
    form = ZoneForm.of(zone)
    again = ZoneForm.read(_sent(form))
    assert again == form
    after, errors = checked(again, (), zone)
    assert not errors and after is not None and manifest_of(after) == manifest_of(zone)


@given(zones)
def test_a_new_zone_is_what_its_form_says(zone: PartnerZone) -> None:
    form = ZoneForm.of(zone)
    made, errors = checked(form, ())
    assert not errors and made is not None
    assert ZoneForm.of(made) == form


@given(zones, st.sampled_from(["displayName", "url", "description", "partnerPhone"]), texts)
def test_one_field_that_is_changed_leaves_the_others_alone(zone: PartnerZone, name: str, text: str) -> None:
    form = ZoneForm.read(_sent(ZoneForm.of(zone)))
    if form.texts["partnerName"] == "" and name.startswith("partner"):
        return
    form.texts[name] = ZoneForm.read(Form([(name, text)])).texts[name]
    after, errors = checked(form, (), zone)
    assert not errors and after is not None
    before, changed = manifest_of(zone), manifest_of(after)
    for manifest in (before, changed):
        _take(manifest, PATHS[name])
    assert changed == before


def _take(manifest: dict[str, Any], path: Sequence[str]) -> None:
    at: Any = manifest
    for step in path[:-1]:
        at = at.get(step, {})
    at.pop(path[-1], None)


def test_a_manifest_is_as_short_as_people_write_it() -> None:
    form = ZoneForm()
    form.texts |= {"name": "shop", "serviceAccount": "shop", "cluster": "partner1"}
    form.topics = [TopicRow(0, "orders", "orders")]
    topic = {"name": "orders", "backingTopic": "orders", "permission": "READ"}
    assert form.manifest({}) == {
        "apiVersion": "v2",
        "kind": "PartnerZone",
        "metadata": {"name": "shop"},
        "spec": {"cluster": "partner1", "serviceAccount": "shop", "topics": [topic]},
    }
    form.texts["mode"] = "MTLS"
    assert form.manifest({})["spec"]["authenticationMode"] == {"type": "MTLS", "serviceAccount": "shop"}


NAMES = ["", "Shop", "  Crème & Co. ", "ACME_2.0", "--a--", "Партнёр", "Ångström 中", "a" * 80, "x" * 62 + " y", "ﬁ ½"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_derived_are_legal_or_empty(name: str) -> None:
    made = derived(name, 63)
    assert made == "" or check_zone_name(made) is None


def test_the_script_derives_the_same_names() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    script = (Path(str(STATIC)) / "console.js").read_text()
    function = script[script.index("const derived = ") : script.index("const prepareDerived")]
    call = f"{json.dumps(NAMES)}.map((name) => derived(name, {json.dumps(NOT_IN_NAMES)}, 63))"
    code = f"{function}\nconsole.log(JSON.stringify({call}))"
    answer = subprocess.run([node, "-e", code], capture_output=True, check=True, timeout=30)
    assert json.loads(answer.stdout) == [derived(name, 63) for name in NAMES]


def test_names_are_derived_where_they_were_left_empty() -> None:
    form = ZoneForm()
    form.texts["displayName"] = "Crème & Co"
    form.derive_names()
    assert (form.texts["name"], form.texts["serviceAccount"]) == ("creme-co", "creme-co")
    form.texts |= {"displayName": "Other", "serviceAccount": ""}
    form.derive_names()
    assert (form.texts["name"], form.texts["serviceAccount"]) == ("creme-co", "other")


def test_labels_are_written_in_a_line() -> None:
    assert read_labels(" team = payments,env=prod,, empty= ,a=b=c") == {
        "team": "payments",
        "env": "prod",
        "empty": "",
        "a": "b=c",
    }
    assert labels_text({"team": "payments", "env": "prod"}) == "team=payments, env=prod"
    for wrong in ("team", "=x", "a=1, a=2"):
        with pytest.raises(ValueError, match=r"write them as in|twice"):
            read_labels(wrong)


def test_labels_that_cannot_be_written_so_stay_when_others_change() -> None:
    zone = PartnerZone.model_validate(_zone({"topics": [{"name": "a", "backingTopic": "a"}]}, {"a,b": "c", "d": "e"}))
    form = ZoneForm.of(zone)
    assert form.texts["labels"] == "d=e"
    form.texts["labels"] = "d=f"
    after, _ = checked(form, (), zone)
    assert after is not None and after.metadata.labels == {"a,b": "c", "d": "f"}


def _wrong(clusters: Sequence[str] = ("partner1",), **changes: str) -> Errors:
    form = ZoneForm.of(PartnerZone.model_validate(resource()))
    form.texts |= changes
    return checked(form, clusters)[1]


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"name": "Big Zone"}, "name", "'Big Zone' is not a zone name"),
        ({"name": "passthrough"}, "name", "reserved"),
        ({"name": ""}, "name", "Write a technical ID"),
        ({"serviceAccount": ""}, "serviceAccount", "Write a service account"),
        ({"serviceAccount": "x" * 256}, "serviceAccount", "is not a service account"),
        ({"cluster": ""}, "cluster", "Choose a cluster"),
        ({"cluster": "partner2"}, "cluster", "'partner2' is not configured"),
        ({"partnerName": ""}, "partnerName", "leave the other fields of the contact empty"),
        ({"mode": "NONE"}, "mode", "'NONE' is not known here"),
        ({"labels": "team"}, "labels", "'team' is not a label"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(changes: dict[str, str], field: str, text: str) -> None:
    errors = _wrong(**changes)
    assert list(errors) == [field] and text in errors[field]


def test_what_is_wrong_with_a_topic_is_said_of_its_row() -> None:
    form = ZoneForm.of(PartnerZone.model_validate(resource()))
    form.topics = [TopicRow(7, "orders", "orders", "WRITE"), TopicRow(3, "orders", "orders-2", "WRITE")]
    errors = checked(form, ())[1]
    assert list(errors) == ["permission-3"] and "only one alias" in errors["permission-3"]
    form.topics = [TopicRow(7, "orders", "same"), TopicRow(3, "__consumer_offsets", "a b"), TopicRow(4, "x", "")]
    assert list(checked(form, ())[1]) == ["alias-3", "topic-3", "alias-4"]
    form.topics = []
    assert checked(form, ())[1] == {"topics": "Share at least one topic."}


def test_what_the_service_refuses_is_said_of_its_field_where_it_names_one() -> None:
    form = ZoneForm.of(PartnerZone.model_validate(resource()))
    error = Conflict("spec.serviceAccount: 'a' belongs to 'b'\nspec.topics[1].name: is odd\nzones are from: files")
    assert refused(error, form) == {
        "serviceAccount": "'a' belongs to 'b'",
        "alias-1": "Is odd",
        "": "Zones are from: files",
    }


def test_rows_whose_keys_are_forged_get_others() -> None:
    fields = [("row", "1"), ("topic", "a"), ("alias", "a"), ("permission", "READ")] * 2
    assert [row.key for row in ZoneForm.read(Form(fields)).topics] == [0, 1]
    assert zone_form.ZoneForm.read(Form([("row", "x"), ("topic", "a")])).topics == []
