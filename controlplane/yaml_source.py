"""YAML files as plain data that remembers its lines, so that every complaint can name one.

What YAML 1.1 quietly turns into something else (`no` into false, `12:30` into 750, `0123` into 83, a date into an
object) stays the text that was written. Anchors, merge keys, tags and duplicate keys are refused: nothing in a
configuration may surprise.
"""

import pathlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import yaml

from controlplane.problems import ConfigurationError, Path, Problem, field_name

_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))


class _Loader(yaml.CSafeLoader):
    """libyaml's parser (ten times faster than the one in Python) with the few plain scalars of YAML 1.2."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - replaced, so that the inherited table is not edited


class _Dumper(yaml.SafeDumper):
    """Quotes what the reader above takes for something else than text, such as `1e5`, no number in YAML 1.1."""


for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?(?:0|[1-9][0-9]{0,30})", list("-+0123456789")),
    (_FLOAT, r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", list("-+.0123456789")),
):
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(slots=True)
class Document:
    """One YAML document: its data, and the line of every value in it."""

    source: str
    data: object
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """The line of a value, or of the nearest thing around it that is there."""
        for length in range(len(path), -1, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return line
        return None

    def problem(self, path: Path, message: str) -> Problem:
        return Problem(self.source, self.line(path), field_name(path), message)


def dump(data: object, unicode: bool = False) -> str:
    """Data as a YAML text that reads back as it is; in ASCII, for terminals, where it isn't to be `unicode`."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=1000, allow_unicode=unicode)


def token_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each token of a YAML text begins and ends. What lies between them are spaces and comments.

    Ends early where the text is no YAML.
    """
    try:
        for token in yaml.scan(text, Loader=_Loader):
            yield token.start_mark.index, token.end_mark.index
    except yaml.YAMLError:
        return


def cut_items(text: str, positions: Collection[int]) -> str:
    """A text that is one list, without the lines of these items; all else stays byte for byte.

    Comments above and behind an item stay, too, those inside go with it. Items that share lines are not told apart: the
    caller looks at what the rest reads as.
    """
    root = yaml.compose(text, Loader=_Loader)
    items = root.value if isinstance(root, yaml.SequenceNode) else []
    for position in sorted(positions, reverse=True):
        start = text.rfind("\n", 0, items[position].start_mark.index) + 1
        while start and not text[start:].lstrip(" ").startswith("-"):
            start = text.rfind("\n", 0, start - 1) + 1
        end = text.find("\n", _end(items[position]) - 1)
        text = text[:start] + (text[end + 1 :] if end >= 0 else "")
    return text


def _end(node: yaml.Node) -> int:
    """Behind a node's last character; what follows a block of lines, such as comments, isn't counted as its own."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)


def read_documents(file: pathlib.Path, source: str | None = None) -> list[Document]:
    """Every document of a file that holds something. `source` is the file's name in messages."""
    name = source or str(file)
    return parse_documents(read_text(file, name), name)


def read_text(file: pathlib.Path, source: str) -> str:
    """The file's text; what stands in the way becomes a ConfigurationError."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError([Problem(source, None, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([Problem(source, None, "", "is not UTF-8 text")]) from None


def parse_documents(text: str, source: str, origins: Sequence[int] | None = None) -> list[Document]:
    """Every document of a YAML text that holds something.

    `origins` says for each line of the text which line of the file it comes from, where these differ.
    """
    problems: list[Problem] = []
    documents = []
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            reader = _NodeReader(source, origins)
            document = Document(source, reader.read(node, ()), reader.lines)
            problems += reader.problems
            if document.data is not None:
                documents.append(document)
    except yaml.YAMLError as error:
        problems.append(_syntax_problem(error, source, origins))
    except RecursionError:
        problems.append(Problem(source, None, "", "is nested too deeply to be a configuration"))
    if problems:
        raise ConfigurationError(problems)
    return documents


def single_document(text: str, source: str) -> Document:
    """The one document of a file that must not hold more; its data is None when the file is empty."""
    documents = parse_documents(text, source)
    if len(documents) > 1:
        line = documents[1].line(())
        raise ConfigurationError([Problem(source, line, "", "this file holds one document; remove this one")])
    return documents[0] if documents else Document(source, None)


def _line(mark: yaml.Mark, origins: Sequence[int] | None) -> int:
    """Counted from 1, in the file. What is missing at the end of the text can be missed behind its last line."""
    if not origins:
        return int(mark.line) + 1
    last = len(origins) - 1
    return origins[min(mark.line, last)] + max(0, int(mark.line) - last)


def _syntax_problem(error: yaml.YAMLError, source: str, origins: Sequence[int] | None) -> Problem:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(source, None, "", f"is not valid YAML: {error}")
    mark = error.problem_mark or error.context_mark
    said = ", ".join(part for part in (error.problem, error.context) if part)
    return Problem(source, _line(mark, origins) if mark else None, "", f"is not valid YAML: {said}")


class _NodeReader:
    """Turns one document's nodes into data, and notes the line of each."""

    def __init__(self, source: str, origins: Sequence[int] | None) -> None:
        self.source = source
        self._origins = origins
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()

    def read(self, node: yaml.Node, path: Path) -> object:
        self.lines.setdefault(path, _line(node.start_mark, self._origins))
        if id(node) in self._seen:
            self._refuse(path, "anchors and aliases (&name, *name) are not supported; write the value out")
            return None
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, position)) for position, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        for key_node, value_node in node.value:
            line = _line(key_node.start_mark, self._origins)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(self.source, line, field_name(path), "a field's name must be plain text"))
                continue
            here = (*path, key_node.value)
            if here in self.lines:
                message = f"is given twice, first in line {self.lines[here]}; keep one"
                self.problems.append(Problem(self.source, line, field_name(here), message))
                continue
            self.lines[here] = line
            yield key_node.value, self.read(value_node, here)

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        text: str = node.value
        match node.tag:
            case str(tag) if tag == _STR:
                return text
            case str(tag) if tag == _NULL:
                return None
            case str(tag) if tag == _BOOL:
                return text.lower() == "true"
            case str(tag) if tag == _INT:
                return int(text)
            case str(tag) if tag == _FLOAT:
                return float(text)
        self._refuse(path, f"the tag {node.tag} is not supported; write plain text, a number, true or false")
        return None

    def _refuse(self, path: Path, message: str) -> None:
        self.problems.append(Problem(self.source, self.lines.get(path), field_name(path), message))
