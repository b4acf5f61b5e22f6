"""The credentials file: what it may hold, and that no writer ever loses another's entry."""

import multiprocessing
import os
import pickle
import stat
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest

from controlplane.credential_file import generate_credential, load_credentials, revoke_credentials
from controlplane.problems import ConfigurationError, Problem
from policies.credentials import (
    Credential,
    format_scram_keys,
    hash_password,
    new_salt,
    scram_keys,
    verify_password,
)
from tests.unit.controlplane.conftest import WriteFile

HASH = hash_password("secret")
ENTRY = f"- id: one\n  zone: z\n  created: 2025-01-27T12:55:05Z\n  hash: {HASH}\n"


def errors_of(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_credentials(file)
    return [str(problem) for problem in caught.value.problems]


def test_entries_are_read(write: WriteFile) -> None:
    assert load_credentials(write("c.yaml", ENTRY)) == [Credential("one", "z", "2025-01-27T12:55:05Z", HASH)]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[]\n"])
def test_a_file_without_entries(write: WriteFile, text: str) -> None:
    assert load_credentials(write("c.yaml", text)) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\n", "c.yaml:1: is not a list of credentials; write each as '- id: ...'"),
        (
            ENTRY.replace("  zone: z\n", ""),
            "c.yaml:1: [0].zone: is missing; add it, for example 'zone: external-partner-zone'",
        ),
        (
            ENTRY.replace("zone: z", "zone: Z"),
            "c.yaml:2: [0].zone: 'Z' is not a zone name; use 1 to 63 lower-case letters, digits, '_', '.' and '-'",
        ),
        (ENTRY + "  Hash: x\n", "c.yaml:5: [0].Hash: unknown field; did you mean hash?"),
        (
            ENTRY.replace("2025-01-27T12:55:05Z", "yesterday"),
            "c.yaml:3: [0].created: 'yesterday' is not a time; write it as 2025-01-27T12:55:05Z",
        ),
        (
            ENTRY + ENTRY.replace(HASH, "my-secret"),
            "c.yaml:8: [1].hash: is not a password hash (sha256:<salt>:<digest>); "
            "make one with 'zonegate credentials generate'",
        ),
        (
            ENTRY.replace(HASH, "123456"),
            "c.yaml:4: [0].hash: the value does not fit; write text here, in quotes if it looks like a number",
        ),
        (
            ENTRY + "  expires: soon\n",
            "c.yaml:5: [0].expires: 'soon' is not a time; write it as 2025-01-27T12:55:05Z",
        ),
        (
            ENTRY + "  scram: my-secret\n",
            "c.yaml:5: [0].scram: is not what 'credentials generate' writes; remove it, or make a new password",
        ),
        (ENTRY + ENTRY, "c.yaml:5: [1].id: 'one' is used already in line 1; ids are unique"),
        ("- id: [\n", "c.yaml:2: is not valid YAML: did not find expected node content, while parsing a flow node"),
    ],
)
def test_errors_name_the_line_and_never_a_secret(write: WriteFile, text: str, error: str) -> None:
    assert errors_of(write("c.yaml", text)) == [error]


def test_a_generated_password_verifies_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"

    credential, password = generate_credential(file, "z")

    assert load_credentials(file) == [credential]
    assert credential.zone == "z"
    assert verify_password(password, credential.password_hash)
    assert password not in file.read_text()


def test_entries_and_comments_are_kept(write: WriteFile) -> None:
    before = f"# the first\n{ENTRY}# the end"
    file = write("c.yaml", before)

    credential, _ = generate_credential(file, "z")

    assert file.read_text().startswith(before + "\n- id: ")
    assert load_credentials(file)[1] == credential


def test_only_the_owner_may_read_the_file(write: WriteFile) -> None:
    file = write("c.yaml", ENTRY)
    file.chmod(0o644)

    generate_credential(file, "z")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_behind_a_link_the_file_is_replaced(write: WriteFile) -> None:
    file = write("secrets/c.yaml", ENTRY)
    link = Path("link.yaml")
    link.symlink_to(file)

    generate_credential(link, "z")

    assert link.is_symlink()
    assert len(load_credentials(file)) == 2


@pytest.mark.parametrize("text", ["[]\n", "  - id: one\n    zone: z\n"])
def test_a_file_that_nothing_can_be_added_to_stays_as_it_is(write: WriteFile, text: str) -> None:
    text = text.replace("    zone: z\n", "".join(f"  {line}\n" for line in ENTRY.splitlines()[1:]))
    Path("c.yaml").write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        generate_credential(Path("c.yaml"), "z")

    assert "nothing can be added at the end of this file" in str(caught.value)
    assert Path("c.yaml").read_text() == text
    assert os.listdir() == ["c.yaml"]


def test_a_broken_file_is_not_added_to(write: WriteFile) -> None:
    file = write("c.yaml", "- id: one\n")

    with pytest.raises(ConfigurationError, match=r"zone: is missing"):
        generate_credential(file, "z")

    assert file.read_text() == "- id: one\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "none" / "c.yaml"

    with pytest.raises(ConfigurationError) as caught:
        generate_credential(file, "z")

    assert str(caught.value) == f"{file}: cannot be written: No such file or directory"


@pytest.mark.parametrize("text", ["12345678e1234567", "1e2", "1234567890123456", "null", "true", "0x10", "1_0", "1.5"])
def test_an_id_or_zone_that_looks_like_something_else_is_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _bytes: text)
    credential, _ = generate_credential(tmp_path / "c.yaml", text)
    assert (credential.id, credential.zone) == (text, text)
    assert load_credentials(tmp_path / "c.yaml") == [credential]


def test_an_error_passes_between_processes() -> None:
    error = ConfigurationError([Problem("c.yaml", 3, "[0].zone", "is missing"), Problem("a.yaml", None, "", "is odd")])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.problems) == (str(error), error.problems)


def _generate_many(file: Path, zone: str, count: int) -> list[str]:
    return [generate_credential(file, zone)[0].id for _ in range(count)]


def test_writers_at_the_same_time_all_survive(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    arguments: Sequence[tuple[Path, str, int]] = [(file, f"zone-{number}", 10) for number in range(4)]

    with multiprocessing.get_context("spawn").Pool(4) as pool:
        generated = pool.starmap(_generate_many, arguments)

    assert sorted(entry.id for entry in load_credentials(file)) == sorted(chain.from_iterable(generated))
    assert os.listdir(tmp_path) == ["c.yaml"]


# what later versions have added


@pytest.mark.parametrize("text", ["2025-01-27T12:55:05Z", "2025-01-27T13:55:05+01:00", "2025-01-27T12:55:05"])
def test_an_entry_with_everything(write: WriteFile, text: str) -> None:
    keys = scram_keys("secret", new_salt())
    file = write("c.yaml", f"{ENTRY}  expires: {text}\n  scram: {format_scram_keys(keys)}\n")
    expected = Credential("one", "z", "2025-01-27T12:55:05Z", HASH, 1_737_982_505.0, keys)
    assert load_credentials(file) == [expected]


def test_passwords_of_one_zone_share_scram_s_salt(write: WriteFile) -> None:
    file = write("c.yaml", ENTRY)
    passwords = [generate_credential(file, zone)[1] for zone in ("z", "z", "other", "z")]
    old, *made = load_credentials(file)
    assert old.scram is None
    salts = [each.scram.salt for each in made if each.scram is not None]
    assert salts[0] == salts[1] == salts[3] != salts[2]
    for credential, password, salt in zip(made, passwords, salts, strict=True):
        assert credential.scram == scram_keys(password, salt)


# revoking


OTHER = ENTRY.replace("id: one", "id: two")
THIRD = ENTRY.replace("id: one", "id: three")
FLOW = f"- {{id: two, zone: z, created: 2025-01-27T12:55:05Z,\n   hash: '{HASH}'\n  }}  # gone\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ENTRY + OTHER + THIRD, ENTRY + THIRD),
        (OTHER, ""),
        (OTHER.rstrip(), ""),
        (ENTRY + OTHER.rstrip(), ENTRY),
        (ENTRY + "# über\n\n" + OTHER + "# the end, ohne ß\n", ENTRY + "# über\n\n# the end, ohne ß\n"),
        (ENTRY + OTHER.replace("  zone", "  # inside\n  zone") + THIRD, ENTRY + THIRD),
        (ENTRY + "-\n  " + OTHER[2:] + THIRD, ENTRY + THIRD),
        (ENTRY + FLOW + THIRD, ENTRY + THIRD),
        (f"---\n{OTHER}{THIRD}...\n", f"---\n{THIRD}...\n"),
        ((ENTRY + OTHER + THIRD).replace("\n", "\r\n"), (ENTRY + THIRD).replace("\n", "\r\n")),
        (
            "".join(f"  {line}\n" for line in (ENTRY + OTHER).splitlines()),
            "".join(f"  {line}\n" for line in ENTRY.splitlines()),
        ),
    ],
)
def test_the_rest_of_the_file_stays_byte_for_byte(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(before.encode())
    assert [credential.id for credential in revoke_credentials(file, ["two"])] == ["two"]
    assert file.read_bytes() == after.encode()
    assert os.listdir(tmp_path) == ["c.yaml"]


def test_entries_that_share_a_line_are_left_alone(tmp_path: Path) -> None:
    one, two = (f"{{id: {name}, zone: z, created: 2025-01-27T12:55:05Z, hash: '{HASH}'}}" for name in ("one", "two"))
    file = tmp_path / "c.yaml"
    file.write_text(f"[{one}, {two}]\n")
    with pytest.raises(ConfigurationError) as caught:
        revoke_credentials(file, ["two"])
    assert str(caught.value) == (
        f"{file}: nothing can be removed from this file but by hand; write its entries as '- id: ...' lines"
    )
    assert file.read_text() == f"[{one}, {two}]\n"


def test_what_was_generated_can_be_revoked(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    ids = [generate_credential(file, "z")[0].id for _ in range(5)]
    for revoked in (ids[2], ids[0], ids[4]):
        revoke_credentials(file, [revoked])
    assert [credential.id for credential in load_credentials(file)] == [ids[1], ids[3]]
    revoke_credentials(file, [ids[1], ids[3]])
    assert load_credentials(file) == []
    assert file.read_text().startswith("# Passwords of partner zones")
