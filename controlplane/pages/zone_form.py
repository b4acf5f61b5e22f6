"""What the fields of a zone's form hold: read from what a browser sends, made from a zone, and turned into a manifest.

A manifest that is made from a stored zone keeps whatever the form doesn't show, and whatever it shows and nobody has
touched. Whether a manifest is valid is not asked here.
"""

import copy
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controlplane.pages.limit_fields import LIMITS, LimitField
from controlplane.pages.visits import Form
from controlplane.partner_zone import KIND, MAX_SERVICE_ACCOUNT, PartnerZone

Manifest = dict[str, Any]
Errors = dict[str, str]
"""Field -> what is wrong with it. What concerns no field is under the empty name, a line each."""

PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "displayName": ("spec", "displayName"),
    "name": ("metadata", "name"),
    "serviceAccount": ("spec", "authenticationMode", "serviceAccount"),
    "labels": ("metadata", "labels"),
    "url": ("spec", "url"),
    "description": ("spec", "description"),
    "cluster": ("spec", "cluster"),
    "partnerName": ("spec", "partner", "name"),
    "partnerRole": ("spec", "partner", "role"),
    "partnerEmail": ("spec", "partner", "email"),
    "partnerPhone": ("spec", "partner", "phone"),
    "mode": ("spec", "authenticationMode", "type"),
}
"""Of the fields that hold a text, in the order of the page."""

PARTNER: Final = tuple(name for name in PATHS if name.startswith("partner"))

NOT_IN_NAMES: Final = "[^0-9a-z_.-]"
"""What names that are derived don't have; a regular expression to Python and JavaScript alike."""

MAX_ZONE_NAME: Final = 63

_MANY_LINES: Final = "description"


@dataclass(slots=True)
class TopicRow:
    """A topic that is shared, as it is being edited."""

    key: int
    """Tells it from others, whatever becomes of its place and its name."""
    topic: str
    alias: str
    permission: str = "READ"


@dataclass(slots=True)
class ZoneForm:
    texts: dict[str, str] = field(default_factory=lambda: {**dict.fromkeys(PATHS, ""), "mode": "PLAIN"})
    topics: list[TopicRow] = field(default_factory=list)
    limits: list[LimitField] = field(default_factory=lambda: [LimitField.of(kind, None) for kind in LIMITS])

    @classmethod
    def read(cls, form: Form) -> "ZoneForm":
        texts = {name: form.get(name) for name in PATHS}
        texts[_MANY_LINES] = _lines(texts[_MANY_LINES])
        texts["mode"] = texts["mode"] or "PLAIN"
        rows = zip(form.all("row"), form.all("topic"), form.all("alias"), form.all("permission"), strict=False)
        topics = [TopicRow(_key(key, at), *rest) for at, (key, *rest) in enumerate(rows)]
        if len({row.key for row in topics}) < len(topics):
            topics = [TopicRow(at, row.topic, row.alias, row.permission) for at, row in enumerate(topics)]
        return cls(texts, topics, [LimitField.read(form, kind) for kind in LIMITS])

    @classmethod
    def of(cls, resource: PartnerZone) -> "ZoneForm":
        manifest = manifest_of(resource)
        texts = {name: _shown(name, _at(manifest, path)) for name, path in PATHS.items() if name != "labels"}
        texts["labels"] = labels_text(resource.metadata.labels)
        topics = [
            TopicRow(key, topic.backing_topic, topic.name, topic.permission)
            for key, topic in enumerate(resource.spec.topics)
        ]
        limits = manifest["spec"].get("trafficControlPolicies", {})
        return cls(texts, topics, [LimitField.of(kind, limits.get(kind.key)) for kind in LIMITS])

    def derive_names(self) -> None:
        """From the name for people, where the others were left empty."""
        shown = self.texts["displayName"]
        self.texts["name"] = self.texts["name"] or derived(shown, MAX_ZONE_NAME)
        account = self.texts["serviceAccount"] or derived(shown, MAX_SERVICE_ACCOUNT)
        self.texts["serviceAccount"] = account or self.texts["name"]

    def manifest(self, errors: Errors, base: PartnerZone | None = None) -> Manifest:
        """`base` is the zone that is edited. `errors` are given what can't be said in a manifest at all."""
        manifest = manifest_of(base) if base is not None else _empty()
        known = ZoneForm.of(base) if base is not None else ZoneForm(texts=dict.fromkeys(PATHS, ""))
        for name, path in PATHS.items():
            if self.texts[name] != known.texts[name] and name != "labels":
                _put(manifest, path, self.texts[name])
        if self.texts["labels"] != known.texts["labels"]:
            self._put_labels(manifest, errors)
        if not any(self.texts[name] for name in PARTNER):
            manifest["spec"].pop("partner", None)
        manifest["spec"]["topics"] = [
            {"name": row.alias, "backingTopic": row.topic, "permission": row.permission} for row in self.topics
        ]
        if self.limits != known.limits:
            self._put_limits(manifest["spec"], errors)
        return in_short(manifest)

    def _put_labels(self, manifest: Manifest, errors: Errors) -> None:
        metadata = manifest["metadata"]
        hidden = {name: value for name, value in metadata.get("labels", {}).items() if not _fits_field(name, value)}
        try:
            metadata["labels"] = read_labels(self.texts["labels"]) | hidden
        except ValueError as error:
            errors["labels"] = str(error)
        if not metadata.get("labels"):
            metadata.pop("labels", None)

    def _put_limits(self, spec: Manifest, errors: Errors) -> None:
        policies: dict[str, int] = {}
        for limit in self.limits:
            try:
                value = limit.value()
            except ValueError as error:
                errors[limit.kind.field] = str(error)
                continue
            if value is not None:
                policies[limit.kind.key] = value
        spec.pop("trafficControlPolicies", None)
        if policies:
            spec["trafficControlPolicies"] = policies


def manifest_of(resource: PartnerZone) -> Manifest:
    return resource.model_dump(mode="json", by_alias=True, exclude_none=True)


def derived(text: str, most: int) -> str:
    """A technical name of a name for people, as the page's script makes it too."""
    plain = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text).lower())
    dashed = re.sub("-+", "-", re.sub(NOT_IN_NAMES, "-", plain))
    return re.sub("^-|-$", "", dashed[:most])


def read_labels(text: str) -> dict[str, str]:
    """`team=payments, env=prod`. Raises ValueError."""
    labels: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, sign, value = (each.strip() for each in part.partition("="))
        if not sign or not name:
            raise ValueError(f"{part!r} is not a label; write them as in team=payments, env=prod")
        if name in labels:
            raise ValueError(f"{name!r} is there twice; give each label one value")
        labels[name] = value
    return labels


def labels_text(labels: Mapping[str, str]) -> str:
    """Of those that can be written so; others have a comma, for example, and stay as they are."""
    return ", ".join(f"{name}={value}" for name, value in labels.items() if _fits_field(name, value))


def _fits_field(name: str, value: str) -> bool:
    if not f"{name}{value}".isprintable():
        return False
    try:
        return read_labels(f"{name}={value}") == {name: value}
    except ValueError:
        return False


def _empty() -> Manifest:
    return {"apiVersion": "v2", "kind": KIND, "metadata": {}, "spec": {}}


def in_short(manifest: Manifest) -> Manifest:
    """With a service account alone where that says it all, and fields in the order of the documentation."""
    spec: Manifest = copy.copy(manifest["spec"])
    mode = spec.get("authenticationMode", {})
    spec.pop("serviceAccount", None)
    if mode.get("type", "PLAIN") == "PLAIN":
        spec.pop("authenticationMode", None)
        if account := mode.get("serviceAccount"):
            spec["serviceAccount"] = account
    order = ["cluster", "displayName", "description", "url", "serviceAccount", "authenticationMode", "topics"]
    ordered = {key: spec[key] for key in order if key in spec}
    return {**manifest, "spec": ordered | spec}


def _put(manifest: Manifest, path: tuple[str, ...], text: str) -> None:
    at = manifest
    for step in path[:-1]:
        at = at.setdefault(step, {})
    if text:
        at[path[-1]] = text
    else:
        at.pop(path[-1], None)


def _at(manifest: Manifest, path: tuple[str, ...]) -> str:
    at: Any = manifest
    for step in path:
        at = at.get(step, {})
    return at if isinstance(at, str) else ""


def _shown(name: str, text: str) -> str:
    """As a field of its kind holds it: browsers have their way with ends of lines."""
    return _lines(text) if name == _MANY_LINES else " ".join(text.split())


def _lines(text: str) -> str:
    return "\n".join(text.splitlines()).strip()


def _key(text: str, otherwise: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise
