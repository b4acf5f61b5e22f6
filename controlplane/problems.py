"""Configuration problems as data: where, which field, what would be right. All of them are reported at once."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""The way to a value inside a YAML document: keys and list positions."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct. `source` is a file, or the name of an environment variable."""

    source: str
    line: int | None
    field: str
    message: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return ": ".join(part for part in (where, self.field, self.message) if part)


class ConfigurationError(Exception):
    """Settings, manifests or credentials cannot be used as they are."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(problems, key=lambda problem: (problem.source, problem.line or 0))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type["ConfigurationError"], tuple[Sequence[Problem]]]:
        # made from its problems again, when it comes from another process
        return type(self), (self.problems,)


def field_name(path: Path) -> str:
    """`('spec', 'topics', 0, 'name')` as a person writes it: `spec.topics[0].name`."""
    name = ""
    for step in path:
        if isinstance(step, int):
            name += f"[{step}]"
        else:
            name += f".{step}" if name else step
    return name


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The known word that was most likely meant, whatever its case and punctuation."""
    plain = {_plain(candidate): candidate for candidate in known}
    matches = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=cutoff)
    return plain[matches[0]] if matches else None


def _plain(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())
