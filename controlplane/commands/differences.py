"""What an apply would change, as a unified diff of what is stored and what the manifest says."""

import contextlib
import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from rich.text import Text

from controlplane.commands.kinds import resource_name
from controlplane.partner_zone import PartnerZone
from controlplane.yaml_source import dump

_STYLES = (("---", "bold"), ("+++", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))


def differences(stored: dict[str, Any] | None, resource: PartnerZone, source: str) -> Iterator[Text]:
    """The diff's lines; none where nothing differs. What is not stored yet is all new."""
    name = resource_name(resource.metadata.name)
    before = _lines(_sorted(_plain(stored))) if stored is not None else []
    after = _lines(_sorted(_plain(resource.model_dump(by_alias=True))))
    old = f"{name} (stored)" if stored is not None else f"{name} (new)"
    for line in difflib.unified_diff(before, after, old, f"{name} ({source})", lineterm=""):
        style = next((style for prefix, style in _STYLES if line.startswith(prefix)), "")
        yield Text(line, style)


def _plain(resource: dict[str, Any]) -> dict[str, Any]:
    """Labels and spec, with the defaults that both sides mean, whether they say them or not."""
    with contextlib.suppress(ValidationError):  # a newer server's fields, unknown here, are compared as they are
        resource = PartnerZone.model_validate(resource).model_dump(by_alias=True)
    metadata = resource.get("metadata") or {}
    return {"labels": metadata.get("labels"), "spec": resource.get("spec")}


def _sorted(value: Any) -> Any:
    """Fields by name, and without those that say nothing. Lists keep their order, which can mean something."""
    if isinstance(value, dict):
        said = {key: _sorted(value[key]) for key in sorted(value)}
        return {key: each for key, each in said.items() if each is not None and each != {} and each != []}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _lines(data: Any) -> list[str]:
    return dump(data).splitlines()
