"""Joins what several worker processes expose to Prometheus: each series gets a label `worker`.

It works on the text that `prometheus_client.generate_latest` makes, line by line, and does not look at values: a
thousand zones make a hundred thousand lines, for which a parser would take seconds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

_COMMENT: Final = re.compile(r"# (?:HELP|TYPE) (\S+) ")
_SERIES: Final = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{|(?= ))", re.MULTILINE)


def labelled(text: str, worker: str) -> str:
    """The series of a text without comments, each with the label `worker` before its others."""
    label = f'{{worker="{worker}"'
    return _SERIES.sub(lambda found: found[1] + label + ("," if found[0][-1] == "{" else "}"), text)


def merge(texts: Mapping[str, str]) -> str:
    """One text of the texts of several processes, by the value of their label. A metric's series stand together."""
    heads: dict[str, str] = {}
    series: dict[str, list[str]] = {}
    for worker, text in texts.items():
        for name, head, lines in _families(text):
            heads.setdefault(name, head)
            series.setdefault(name, []).append(labelled(lines, worker))
    return "".join(head + "".join(series[name]) for name, head in heads.items())


def _families(text: str) -> Iterator[tuple[str, str, str]]:
    """(name, comment lines, sample lines) of each metric."""
    name, head, lines = "", "", list[str]()
    for line in _lines(text):
        if (comment := _COMMENT.match(line)) is None:
            lines.append(line)
            continue
        if comment[1] != name:
            if name:
                yield name, head, "".join(lines)
            name, head, lines = comment[1], "", []
        head += line
    if name:
        yield name, head, "".join(lines)


def _lines(text: str) -> Iterable[str]:
    """With their ends. Only a line feed ends one: labels may hold anything else."""
    return re.findall(r"[^\n]+\n", text)
