"""The credentials file: a YAML list of password hashes. `zonegate credentials` adds and removes, `serve` follows it.

    - id: 3f0c9a51d2e84b67
      zone: external-partner-zone
      created: "2025-01-27T12:55:05Z"
      expires: "2025-04-27T12:55:05Z"
      hash: sha256:<salt>:<digest>
      scram: scram-sha-512:<iterations>:<salt>:<stored key>:<server key>

Removing an entry revokes that password. What people write into the file beside the entries (comments) is kept. Without
`expires` a password never expires; without `scram` it is good for PLAIN only.
"""

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from controlplane.atomic_files import locked, replace
from controlplane.model_errors import violations
from controlplane.partner_zone import RequiredText, ZoneName
from controlplane.problems import ConfigurationError, Path, Problem, did_you_mean
from controlplane.times import format_time, parse_time
from controlplane.yaml_source import Document, cut_items, dump, read_text, single_document
from policies.credentials import (
    Credential,
    format_scram_keys,
    hash_password,
    is_password_hash,
    new_password,
    new_salt,
    parse_scram_keys,
    scram_keys,
)

DEFAULT_VALIDITY = timedelta(days=90)
"""As long as most companies let a password live; a partner rotates with a second one while the first is still valid."""

_HEADER = """\
# Passwords of partner zones, as hashes. 'zonegate credentials generate ZONE' adds entries;
# 'zonegate credentials revoke ID' removes one, as does an editor. A running gateway follows this file.
"""


def _is_hash(text: str) -> str:
    # The text itself is not repeated: somebody may have put a password here.
    if not is_password_hash(text):
        raise ValueError(
            "is not a password hash (sha256:<salt>:<digest>); make one with 'zonegate credentials generate'"
        )
    return text


def _is_scram(text: str) -> str:
    if parse_scram_keys(text) is None:
        raise ValueError("is not what 'credentials generate' writes; remove it, or make a new password")
    return text


def _is_time(text: str) -> str:
    try:
        parse_time(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it as 2025-01-27T12:55:05Z") from None
    return text


class CredentialEntry(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    id: RequiredText = Field(examples=["3f0c9a51d2e84b67"])
    zone: ZoneName = Field(examples=["external-partner-zone"])
    created: Annotated[str, AfterValidator(_is_time)] = Field(examples=["2025-01-27T12:55:05Z"])
    expires: Annotated[str, AfterValidator(_is_time)] | None = None
    hash: Annotated[str, AfterValidator(_is_hash)] = Field(repr=False, examples=["sha256:<salt>:<digest>"])
    scram: Annotated[str, AfterValidator(_is_scram)] | None = Field(None, repr=False)

    def credential(self) -> Credential:
        expires = parse_time(self.expires).timestamp() if self.expires is not None else None
        keys = parse_scram_keys(self.scram) if self.scram is not None else None
        return Credential(self.id, self.zone, self.created, self.hash, expires, keys)


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
    return [entry.credential() for entry in entries]


def _duplicate_ids(document: Document, entries: Sequence[CredentialEntry]) -> Iterator[Problem]:
    seen: dict[str, Path] = {}
    for position, entry in enumerate(entries):
        here: Path = (position, "id")
        if entry.id in seen:
            line = document.line(seen[entry.id])
            yield document.problem(here, f"{entry.id!r} is used already in line {line}; ids are unique")
        seen.setdefault(entry.id, here)


def generate_credential(
    file: FilePath, zone: str, validity: timedelta | None = DEFAULT_VALIDITY
) -> tuple[Credential, str]:
    """Adds a credential for the zone to the file, and returns it with its password, which is kept nowhere."""
    password, now = new_password(), datetime.now(UTC).replace(microsecond=0)
    expires = (now + validity).timestamp() if validity is not None else None
    added: list[Credential] = []

    def add(text: str, source: str) -> str:
        before = parse_credentials(text, source)
        keys = scram_keys(password, _salt_of(before, zone))
        credential = Credential(secrets.token_hex(8), zone, format_time(now), hash_password(password), expires, keys)
        added.append(credential)
        return _append(text, before, credential, source)

    _edit(file, add)
    return added[0], password


def revoke_credentials(file: FilePath, ids: Collection[str]) -> list[Credential]:
    """Removes entries and nothing else, all or none; returns what they were."""
    removed: list[Credential] = []

    def remove(text: str, source: str) -> str:
        before = parse_credentials(text, source)
        if problems := list(_unknown_ids(ids, before, source)):
            raise ConfigurationError(problems)
        removed[:] = [credential for credential in before if credential.id in ids]
        after = cut_items(text, [number for number, credential in enumerate(before) if credential.id in ids])
        kept = [credential for credential in before if credential.id not in ids]
        if not _reads_as(after, source, kept):
            message = "nothing can be removed from this file but by hand; write its entries as '- id: ...' lines"
            raise ConfigurationError([Problem(source, None, "", message)])
        return after

    _edit(file, remove)
    return removed


def _unknown_ids(ids: Collection[str], known: Sequence[Credential], source: str) -> Iterator[Problem]:
    known_ids = [credential.id for credential in known]
    for unknown in dict.fromkeys(ids):
        if unknown not in known_ids:
            meant = did_you_mean(unknown, known_ids)
            hint = f"did you mean {meant}?" if meant else "'zonegate credentials list' shows them"
            yield Problem(source, None, "", f"there is no credential {unknown!r}; {hint}")


def _salt_of(credentials: Sequence[Credential], zone: str) -> bytes:
    """A zone's passwords share SCRAM's salt, which a server names before it knows which of them a client has."""
    salts = [known.scram.salt for known in credentials if known.zone == zone and known.scram is not None]
    return salts[-1] if salts else new_salt()


def _edit(file: FilePath, change: Callable[[str, str], str]) -> None:
    """Replaces the file by what `change` makes of its text; the second argument names it in messages."""
    file = file.resolve()  # behind a symbolic link, the file itself is replaced and not the link
    try:
        with locked(file.parent):
            text = read_text(file, str(file)) if file.exists() else _HEADER
            replace(file, change(text, str(file)))
    except OSError as error:
        raise ConfigurationError([Problem(str(file), None, "", f"cannot be written: {error.strerror}")]) from None


def _append(text: str, before: Sequence[Credential], credential: Credential, source: str) -> str:
    assert credential.scram is not None
    entry = {"id": credential.id, "zone": credential.zone, "created": credential.created}
    if credential.expires is not None:
        entry["expires"] = format_time(datetime.fromtimestamp(credential.expires, UTC))
    entry |= {"hash": credential.password_hash, "scram": format_scram_keys(credential.scram)}
    text += "" if not text or text.endswith("\n") else "\n"
    after = text + dump([entry])
    if not _reads_as(after, source, [*before, credential]):
        message = (
            "nothing can be added at the end of this file; write its entries as '- id: ...' lines without indentation"
        )
        raise ConfigurationError([Problem(source, None, "", message)])
    return after


def _reads_as(text: str, source: str, credentials: Sequence[Credential]) -> bool:
    """Whether an edited text says what it should."""
    try:
        return parse_credentials(text, source) == list(credentials)
    except ConfigurationError:
        return False
