"""Pages from templates: what all of them have in common, and how values are written for people."""

import base64
import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from starlette.responses import HTMLResponse

from controlplane.pages.charts import share
from controlplane.pages.visits import zone_address
from controlplane.times import parse_time

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Of every page. Scripts and styles are files of ours, and nothing comes from elsewhere."""

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_AGES: Final = ((86_400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))
STATIC: Final = files("controlplane.pages") / "static"


class Renderer:
    """`clock` gives Unix seconds, for ages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def page(self, template: str, values: Mapping[str, object], status: int = 200) -> HTMLResponse:
        text = _templates().get_template(template).render(values, now=self._clock())
        return HTMLResponse(text, status, HEADERS)


def prepare_templates() -> None:
    """Takes some tenths of a second, which the first visitors of pages would else take from partners."""
    for name in _templates().list_templates():
        _templates().get_template(name)


@cache
def _templates() -> Environment:
    """Compiled once in a process."""
    templates = Environment(
        loader=PackageLoader("controlplane.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters |= {
        "bytes": byte_text,
        "rate": lambda value: f"{byte_text(value)}/s",
        "count": count_text,
        "plural": plural,
        "ago": ago,
        "time": time_text,
        "iso": iso_text,
        "download": download_address,
    }
    templates.globals |= {
        "static": static_path,
        "zone_address": zone_address,
        "share": share,
        "version": importlib.metadata.version("zonegate"),
    }
    return templates


@pass_context
def ago(context: Context, when: float | str) -> str:
    """`3 minutes ago`, of Unix seconds or an ISO time."""
    seconds = context["now"] - _unix(when)
    for length, name in _AGES:
        if seconds >= length:
            return f"{plural(int(seconds / length), name)} ago"
    return "just now"


@cache
def static_path(name: str) -> str:
    """With the content's hash, so that browsers keep it until it is another."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


def byte_text(value: float) -> str:
    """`1.5 MiB`: three digits at least, and none that mean nothing."""
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    digits = 0 if unit == "B" or value >= 100 or value == int(value) else 1
    return f"{value:.{digits}f} {unit}"


def count_text(value: float) -> str:
    """`12,345`."""
    return f"{value:,.0f}"


def plural(count: int, noun: str) -> str:
    """`1 topic`, `2 topics`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def time_text(when: float | str) -> str:
    """`2025-01-27 12:55:05 UTC`, of Unix seconds or an ISO time."""
    return datetime.fromtimestamp(_unix(when), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso_text(when: float | str) -> str:
    return datetime.fromtimestamp(_unix(when), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def download_address(text: str) -> str:
    """Of a link that saves this text: it is in the page, so that nobody has to ask for a secret again."""
    return f"data:application/octet-stream;base64,{base64.b64encode(text.encode()).decode()}"


def _unix(when: float | str) -> float:
    return parse_time(when).timestamp() if isinstance(when, str) else when
