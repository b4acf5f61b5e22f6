"""The manifests that `-f` names: files, folders, standard input. All that is wrong with them is found before anything
is sent."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from controlplane.commands.kinds import PARTNER_ZONE
from controlplane.commands.substitution import substitute
from controlplane.manifests import SUFFIXES, Manifest, check_manifests, conflicts, manifest_files
from controlplane.partner_zone import PartnerZone
from controlplane.problems import ConfigurationError, Problem, did_you_mean
from controlplane.terminal import EXIT_CONFIGURATION, fail
from controlplane.yaml_source import Document, parse_documents, read_text

STDIN = "-"
STDIN_NAME = "<stdin>"


def read_manifests(
    names: Sequence[str], recursive: bool, permissive: bool, environment: Mapping[str, str] = os.environ
) -> list[Manifest]:
    """Valid resources, in the order of files and documents. Raises ConfigurationError."""
    documents, problems = _read(names, recursive, permissive, environment)
    manifests, found = check_manifests(documents)
    problems += found
    problems += conflicts(manifests)
    if problems:
        raise ConfigurationError(problems)
    return manifests


def read_names(
    names: Sequence[str], recursive: bool, permissive: bool, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """The names of the resources, whatever else they say: who takes something away need not get it right first."""
    documents, problems = _read(names, recursive, permissive, environment)
    found: list[str] = []
    for document in documents:
        data = document.data if isinstance(document.data, dict) else {}
        metadata = data.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if data.get("kind") != PARTNER_ZONE:
            problems.append(document.problem(("kind",), f"is not {PARTNER_ZONE}; nothing else can be deleted"))
        elif not isinstance(name, str) or not name:
            problems.append(document.problem(("metadata", "name"), "is missing; it says what to delete"))
        else:
            found.append(name)
    if problems:
        raise ConfigurationError(problems)
    return list(dict.fromkeys(found))


def _read(
    names: Sequence[str], recursive: bool, permissive: bool, environment: Mapping[str, str]
) -> tuple[list[Document], list[Problem]]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for name in names:
        try:
            for source, text in _texts(name, recursive):
                documents += _parse(text, source, permissive, environment, problems)
        except ConfigurationError as error:
            problems += error.problems
    return documents, problems


def _texts(name: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """Names and contents of the files."""
    if name == STDIN:
        yield STDIN_NAME, _stdin()
        return
    path = Path(name)
    for file in _files(path, recursive) if path.is_dir() else [path]:
        yield str(file), read_text(file, str(file))


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError([Problem(STDIN_NAME, None, "", "is not UTF-8 text")]) from None


def _files(directory: Path, recursive: bool) -> list[Path]:
    """As `serve --zones` sees them: no hidden ones. Hidden folders, such as git's own, are left out, too."""
    try:
        if not recursive:
            return manifest_files(directory)
        found = (each for each in directory.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        return sorted(each for each in found if not _hidden(each.relative_to(directory)))
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigurationError([Problem(str(directory), None, "", message)]) from None


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _parse(
    text: str, source: str, permissive: bool, environment: Mapping[str, str], problems: list[Problem]
) -> list[Document]:
    filled = substitute(text, environment)
    if filled.missing and not permissive:
        # what the file says without them would only give complaints about their absence
        line = min(filled.missing.values())
        problems.append(Problem(source, line, "", f"Missing environment variables: {', '.join(filled.missing)}"))
        return []
    try:
        return parse_documents(filled.text, source, filled.origins)
    except ConfigurationError as error:
        problems += error.problems
        return []


def find_zone(name: str, resources: Sequence[PartnerZone]) -> PartnerZone:
    """Ends the command when there is none of this name."""
    by_name = {resource.metadata.name: resource for resource in resources}
    if name not in by_name:
        meant = did_you_mean(name, by_name)
        known = f"did you mean {meant}?" if meant else f"the zones are: {', '.join(sorted(by_name)) or 'none'}"
        fail(f"there is no zone {name!r}; {known}", EXIT_CONFIGURATION)
    return by_name[name]
