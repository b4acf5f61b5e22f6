"""Environment variables in manifests: `${NAME}`, `${NAME:-default}`, and `$${NAME}` for the plain text `${NAME}`.

Text is put in before YAML is read, so a variable may hold a number, or several lines. An empty variable counts as
missing. Comments are left alone, and complaints name the lines of the file as it was written.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.yaml_source import token_spans

_REFERENCE = re.compile(r"(\$\$?)\{([^}\r\n]+)\}")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What the YAML parser counts as one."""


@dataclass(frozen=True, slots=True)
class Substituted:
    """A text with the variables' values."""

    text: str
    origins: list[int]
    """For each of its lines, the line of the file."""
    missing: dict[str, int]
    """Variables that have neither value nor default, with the line of the first mention."""


def substitute(text: str, environment: Mapping[str, str]) -> Substituted:
    """A missing variable leaves nothing in its place."""
    in_comment = _comments(text)
    pieces: list[str] = []
    origins = [1]
    missing: dict[str, int] = {}
    end, line = 0, 1

    for reference in _REFERENCE.finditer(text):
        between = text[end : reference.start()]
        origins += range(line + 1, line + 1 + _breaks(between))
        line = origins[-1]
        value = reference[0] if in_comment(reference.start()) else _value(reference, environment)
        if value is None:
            missing.setdefault(reference[2].partition(":-")[0], line)
        origins += [line] * _breaks(value or "")
        pieces += (between, value or "")
        end = reference.end()
    rest = text[end:]
    origins += range(line + 1, line + 1 + _breaks(rest))
    return Substituted("".join((*pieces, rest)), origins, missing)


def _breaks(text: str) -> int:
    return len(_LINE_BREAK.findall(text))


def _value(reference: re.Match[str], environment: Mapping[str, str]) -> str | None:
    dollars, (name, _, default) = reference[1], reference[2].partition(":-")
    if dollars == "$$":
        return reference[0][1:]
    return environment.get(name) or default or None


def _comments(text: str) -> Callable[[int], bool]:
    """Whether a place of a text is in a comment: between two tokens, where no word can be.

    References aren't YAML everywhere, so plain words of the same length stand for them. Behind a place that is no YAML
    all the same, nothing is a comment.
    """
    if "#" not in text or not _REFERENCE.search(text):
        return lambda place: False
    spans = list(token_spans(_REFERENCE.sub(lambda reference: "x" * len(reference[0]), text)))
    starts = [start for start, _ in spans]

    def in_comment(place: int) -> bool:
        following = bisect_right(starts, place)
        return 0 < following < len(starts) and place >= spans[following - 1][1]

    return in_comment
