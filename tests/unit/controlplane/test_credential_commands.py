"""`zonegate credentials`: lifetimes, the list, revoking."""

import json
from pathlib import Path

import pytest

from controlplane.credential_file import generate_credential, load_credentials
from controlplane.last_used import LastUsedWriter, read_last_used
from policies.credentials import hash_password
from tests.unit.controlplane.conftest import WriteFile
from tests.unit.controlplane.test_cli import ZONE, zonegate
from tests.unit.controlplane.test_cli import _no_variables as _no_variables

HASH = hash_password("secret")


def entry(name: str, zone: str = "external-partner-zone", expires: str | None = None) -> str:
    more = f"  expires: {expires}\n" if expires else ""
    return f"- id: {name}\n  zone: {zone}\n  created: 2025-01-27T12:55:05Z\n{more}  hash: {HASH}\n"


FILE = (
    "# ours\n"
    + entry("never")
    + entry("future", expires="2999-01-01T00:00:00Z")
    + "# who was this?\n"
    + entry("past", expires="2020-01-01T00:00:00Z")
    + entry("stray", zone="gone")
)


@pytest.fixture
def file(write: WriteFile) -> Path:
    write("zones/a.yaml", ZONE)
    file = write("c.yaml", FILE)
    LastUsedWriter(file).write({"future": 1_738_000_000.0})
    return file


def test_the_list_for_people(file: Path) -> None:
    result = zonegate("credentials", "list", "--credentials-file", str(file), "--zones", "zones")

    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "ID      ZONE                   CREATED               EXPIRES               LAST USED             STATE",
        "never   external-partner-zone  2025-01-27T12:55:05Z  never                 -                     valid",
        "future  external-partner-zone  2025-01-27T12:55:05Z  2999-01-01T00:00:00Z  2025-01-27T17:46:40Z  valid",
        "past    external-partner-zone  2025-01-27T12:55:05Z  2020-01-01T00:00:00Z  -                     expired",
        "stray   gone                   2025-01-27T12:55:05Z  never                 -                     unknown zone",
    ]


def test_the_list_for_programs(file: Path) -> None:
    shown = zonegate("credentials", "list", "gone", "--credentials-file", str(file), "-o", "json").stdout

    assert json.loads(shown) == [
        {
            "id": "stray",
            "zone": "gone",
            "created": "2025-01-27T12:55:05Z",
            "expires": None,
            "last_used": None,
            "state": "valid",
        }
    ], "without --zones nobody can say that the zone is unknown"
    shown = zonegate("credentials", "list", "--credentials-file", str(file), "--zones", "zones", "-o", "yaml").stdout
    assert shown.startswith(
        "- id: never\n  zone: external-partner-zone\n  created: '2025-01-27T12:55:05Z'\n"
        "  expires: null\n  last_used: null\n  state: valid\n- id: future\n"
    )
    assert shown.endswith("  state: unknown zone\n")
    assert "sha256" not in shown


def test_an_empty_list(write: WriteFile) -> None:
    write("c.yaml", "")

    result = zonegate("credentials", "list", "--credentials-file", "c.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "There are no credentials.\n")
    assert zonegate("credentials", "list", "--credentials-file", "c.yaml", "-o", "json").stdout == "[]\n"
    assert zonegate("credentials", "list", "--credentials-file", "c.yaml", "-o", "yaml").stdout == "[]\n"


def test_a_list_of_a_zone_that_is_none(file: Path) -> None:
    arguments = ["credentials", "list", "external-partner", "--credentials-file", str(file), "--zones", "zones"]
    result = zonegate(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == ("zonegate: there is no zone 'external-partner'; did you mean external-partner-zone?\n")


def test_revoking_removes_the_entry_and_nothing_else(file: Path) -> None:
    result = zonegate("credentials", "revoke", "future", "stray", "--credentials-file", str(file))

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == (
        "Revoked credential future of zone external-partner-zone.\n"
        "Revoked credential stray of zone gone.\n"
        "Running gateways end the connections within a second.\n"
    )
    assert file.read_text() == (
        "# ours\n" + entry("never") + "# who was this?\n" + entry("past", expires="2020-01-01T00:00:00Z")
    )
    assert read_last_used(file) == {}


def test_an_id_that_does_not_exist(file: Path) -> None:
    before = file.read_text()
    result = zonegate("credentials", "revoke", "past", "futur", "nothing-like-it", "--credentials-file", "c.yaml")

    assert (result.exit_code, result.stdout) == (2, "")
    path = file.resolve()
    assert result.stderr == (
        f"{path}: there is no credential 'futur'; did you mean future?\n"
        f"{path}: there is no credential 'nothing-like-it'; 'zonegate credentials list' shows them\n"
    )
    assert file.read_text() == before


@pytest.mark.parametrize(("text", "seconds"), [("3s", 3), ("30m", 1800), ("12h", 43_200), ("36500d", 3_153_600_000)])
def test_lifetimes(tmp_path: Path, text: str, seconds: int) -> None:
    file = tmp_path / "c.yaml"
    before = generate_credential(file, "z")[0].expires
    result = zonegate("credentials", "generate", "z", "--credentials-file", str(file), "--expires-in", text)

    assert result.exit_code == 0, result.stderr
    expires = load_credentials(file)[1].expires
    assert before is not None
    assert expires is not None
    assert abs((expires - before) - (seconds - 90 * 86_400)) <= 5


def test_a_password_that_never_expires(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    result = zonegate("credentials", "generate", "z", "--credentials-file", str(file), "--expires-in", "never")

    assert result.stderr.splitlines()[0].endswith("; user name: the zone's service account; expires: never.")
    assert load_credentials(file)[0].expires is None
    assert "expires" not in file.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90", "'90' is not a duration; write for example 90d, 12h, 30m, 45s, or never"),
        ("0d", "'0d' is not a duration; write for example 90d, 12h, 30m, 45s, or never"),
        ("-1d", "'-1d' is not a duration; write for example 90d, 12h, 30m, 45s, or never"),
        ("36501d", "36501d is too long; use at most 36500d, or never"),
    ],
)
def test_lifetimes_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "c.yaml"
    result = zonegate("credentials", "generate", "z", "--credentials-file", str(file), f"--expires-in={text}")

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"zonegate: --expires-in: {message}\n")
    assert not file.exists()
