"""What is wrong with a zone's form, said beside the fields that it is about."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from controlplane.model_errors import violations
from controlplane.pages.limit_fields import LIMITS
from controlplane.pages.zone_form import PATHS, Errors, ZoneForm
from controlplane.partner_zone import PartnerZone, rule_violations
from controlplane.problems import Path, field_name
from controlplane.zone_service import ServiceError

_FIELDS: Final[Mapping[Path, str]] = {
    **{path: name for name, path in PATHS.items()},
    ("spec", "serviceAccount"): "serviceAccount",
    ("spec", "topics"): "topics",
    **{("spec", "trafficControlPolicies", kind.key): kind.field for kind in LIMITS},
}
_OF_ROWS: Final = {"name": "alias", "backingTopic": "topic", "permission": "permission"}

_EMPTY: Final = {
    "name": "Write a technical ID: none can be made from this name.",
    "serviceAccount": "Write a service account.",
    "cluster": "Choose a cluster.",
    "partnerName": "Write the contact's name, or leave the other fields of the contact empty.",
}
"""Of fields that need a text."""

_LINE: Final = re.compile(r"((?:metadata|spec)(?:\.[a-zA-Z]+|\[[0-9]+\])*): (.*)", re.DOTALL)
_STEP: Final = re.compile(r"[a-zA-Z]+|[0-9]+")


def checked(
    form: ZoneForm, clusters: Sequence[str], base: PartnerZone | None = None
) -> tuple[PartnerZone | None, Errors]:
    """The zone that the form describes, None where it breaks a rule; `clusters` are those that it may name, none for
    any. `base` is the zone that is edited."""
    errors: Errors = {}
    manifest = form.manifest(errors, base)
    resource: PartnerZone | None = None
    try:
        resource = PartnerZone.model_validate(manifest)
        found = list(rule_violations(resource, tuple(clusters) or None))
    except ValidationError as error:
        found = list(violations(error, PartnerZone))
    _add(errors, form, found)
    return (None if errors else resource), errors


def refused(error: ServiceError, form: ZoneForm) -> Errors:
    """What the service says against it."""
    errors: Errors = {}
    for line in str(error).splitlines():
        if match := _LINE.fullmatch(line):
            steps = (int(step) if step.isdigit() else step for step in _STEP.findall(match[1]))
            _add(errors, form, [(tuple(steps), match[2])])
        else:
            _say(errors, "", line)
    return errors


def _add(errors: Errors, form: ZoneForm, found: Iterable[tuple[Path, str]]) -> None:
    for path, message in found:
        field = _field(path, form)
        if field == "topics":
            message = "Share at least one topic." if not form.topics else message
        elif not form.texts.get(field, "-"):
            message = _EMPTY.get(field, message)
        if field not in errors or not field:
            _say(errors, field, message if field else f"{field_name(path)}: {message}")


def _field(path: Path, form: ZoneForm) -> str:
    """Empty where the form has none for it."""
    if path[:2] == ("spec", "topics") and len(path) > 3 and isinstance(path[2], int) and path[2] < len(form.topics):
        return f"{_OF_ROWS.get(str(path[3]), 'alias')}-{form.topics[path[2]].key}"
    if path == ("spec", "partner"):
        return "partnerName"
    return next((name for length in range(len(path), 1, -1) if (name := _FIELDS.get(path[:length]))), "")


def _say(errors: Errors, field: str, message: str) -> None:
    text = message[:1].upper() + message[1:]
    errors[field] = f"{errors[field]}\n{text}" if errors.get(field) else text
