"""The credentials file: a YAML list of password hashes. `zonegate credentials generate` adds to it, `serve` follows it.

    - id: 3f0c9a51d2e84b67
      zone: external-partner-zone
      created: "2025-01-27T12:55:05Z"
      hash: sha256:<salt>:<digest>

Removing an entry revokes that password. What people write into the file beside the entries (comments) is kept.
"""

import contextlib
import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from controlplane.model_errors import violations
from controlplane.partner_zone import RequiredText, ZoneName
from controlplane.problems import ConfigurationError, Path, Problem
from controlplane.yaml_source import Document, dump, read_text, single_document
from policies.credentials import Credential, hash_password, is_password_hash, new_password

_HEADER = """\
# Passwords of partner zones, as hashes. 'zonegate credentials generate ZONE' adds entries;
# remove an entry to revoke its password. A running gateway follows this file.
"""


def _is_hash(text: str) -> str:
    # The text itself is not repeated: somebody may have put a password here.
    if not is_password_hash(text):
        raise ValueError(
            "is not a password hash (sha256:<salt>:<digest>); make one with 'zonegate credentials generate'"
        )
    return text


def _is_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it as 2025-01-27T12:55:05Z") from None
    return text


class CredentialEntry(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    id: RequiredText = Field(examples=["3f0c9a51d2e84b67"])
    zone: ZoneName = Field(examples=["external-partner-zone"])
    created: Annotated[str, AfterValidator(_is_time)] = Field(examples=["2025-01-27T12:55:05Z"])
    hash: Annotated[str, AfterValidator(_is_hash)] = Field(repr=False, examples=["sha256:<salt>:<digest>"])


_ENTRIES = TypeAdapter(list[CredentialEntry])


def load_credentials(file: FilePath) -> list[Credential]:
    """Every credential of the file."""
    return parse_credentials(read_text(file, str(file)), str(file))


def parse_credentials(text: str, source: str) -> list[Credential]:
    """Every credential of a file's text."""
    document = single_document(text, source)
    data = [] if document.data is None else document.data
    if not isinstance(data, list):
        raise ConfigurationError([document.problem((), "is not a list of credentials; write each as '- id: ...'")])
    try:
        entries = _ENTRIES.validate_python(data)
    except ValidationError as error:
        found = violations(error, CredentialEntry)
        raise ConfigurationError([document.problem(path, message) for path, message in found]) from None
    if problems := list(_duplicate_ids(document, entries)):
        raise ConfigurationError(problems)
    return [Credential(entry.id, entry.zone, entry.created, entry.hash) for entry in entries]


def _duplicate_ids(document: Document, entries: Sequence[CredentialEntry]) -> Iterator[Problem]:
    seen: dict[str, Path] = {}
    for position, entry in enumerate(entries):
        here: Path = (position, "id")
        if entry.id in seen:
            line = document.line(seen[entry.id])
            yield document.problem(here, f"{entry.id!r} is used already in line {line}; ids are unique")
        seen.setdefault(entry.id, here)


def generate_credential(file: FilePath, zone: str) -> tuple[Credential, str]:
    """Adds a credential for the zone to the file, and returns it with its password, which is kept nowhere."""
    password = new_password()
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    credential = Credential(secrets.token_hex(8), zone, created, hash_password(password))
    file = file.resolve()  # behind a symbolic link, the file itself is replaced and not the link
    try:
        with _locked(file.parent):
            text = read_text(file, str(file)) if file.exists() else _HEADER
            _replace(file, _append(text, credential, str(file)))
    except OSError as error:
        raise ConfigurationError([Problem(str(file), None, "", f"cannot be written: {error.strerror}")]) from None
    return credential, password


def _append(text: str, credential: Credential, source: str) -> str:
    before = parse_credentials(text, source)
    entry = {
        "id": credential.id,
        "zone": credential.zone,
        "created": credential.created,
        "hash": credential.password_hash,
    }
    text += "" if not text or text.endswith("\n") else "\n"
    after = text + dump([entry])
    try:
        kept = parse_credentials(after, source) == [*before, credential]
    except ConfigurationError:
        kept = False
    if not kept:
        message = (
            "nothing can be added at the end of this file; write its entries as '- id: ...' lines without indentation"
        )
        raise ConfigurationError([Problem(source, None, "", message)])
    return after


@contextlib.contextmanager
def _locked(directory: FilePath) -> Iterator[None]:
    """One writer at a time. The folder is locked, because the file itself is replaced by each writer."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: FilePath, text: str) -> None:
    """The whole new file or the whole old one, whatever happens; readable by its owner only."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            _keep_owner(file, descriptor)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        os.rename(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_directory(file.parent)


def _keep_owner(file: FilePath, descriptor: int) -> None:
    """An administrator who adds an entry must not take the file away from the gateway's own user."""
    if not file.exists():
        return
    before = file.stat()
    if before.st_uid != os.fstat(descriptor).st_uid:
        os.fchown(descriptor, before.st_uid, before.st_gid)


def _sync_directory(directory: FilePath) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
