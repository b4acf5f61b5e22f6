"""The file beside the credentials file: several gateways write it, and nothing depends on it."""

import json
import logging
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from controlplane.last_used import LastUsedWriter, forget_last_used, last_used_file, read_last_used

NOON = 1_737_979_200.0
"""2025-01-27T12:00:00Z"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


def test_times_are_written_to_the_second(file: Path) -> None:
    assert read_last_used(file) == {}
    LastUsedWriter(file).write({"one": NOON + 0.9})
    assert read_last_used(file) == {"one": "2025-01-27T12:00:00Z"}
    assert stat.S_IMODE(last_used_file(file).stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["c.yaml.last-used"]


def test_of_two_gateways_the_later_time_stands(file: Path) -> None:
    one, two = LastUsedWriter(file), LastUsedWriter(file)
    one.write({"a": NOON, "b": NOON})
    two.write({"b": NOON + 1, "c": NOON})
    one.write({"a": NOON + 2, "b": NOON})
    two.write({"b": NOON + 1, "c": NOON + 3})
    assert read_last_used(file) == {
        "a": "2025-01-27T12:00:02Z",
        "b": "2025-01-27T12:00:01Z",
        "c": "2025-01-27T12:00:03Z",
    }


def test_what_is_no_news_is_not_written(file: Path) -> None:
    writer = LastUsedWriter(file)
    writer.write({})
    assert os.listdir(file.parent) == []
    writer.write({"a": NOON})
    inode = last_used_file(file).stat().st_ino
    writer.write({"a": NOON + 0.5})
    assert last_used_file(file).stat().st_ino == inode
    writer.write({"a": NOON + 1})
    assert last_used_file(file).stat().st_ino != inode


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1, "b": "x"}', "\xff"])
def test_a_broken_file_is_replaced(file: Path, text: str) -> None:
    last_used_file(file).write_text(text, encoding="latin-1")
    assert read_last_used(file) == {}
    LastUsedWriter(file).write({"one": NOON})
    assert json.loads(last_used_file(file).read_text()) == {"one": "2025-01-27T12:00:00Z"}


def test_a_folder_that_can_t_be_written_is_warned_of_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_options: object) -> None:
        raise OSError(30, "Read-only file system")

    writer = LastUsedWriter(file)
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", refuse)
        writer.write({"one": NOON})
        writer.write({"one": NOON + 1})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages == [
        f"{last_used_file(file)} cannot be written (Read-only file system); "
        "when credentials were last used is in the metrics only"
    ]
    writer.write({"one": NOON + 1})
    assert read_last_used(file) == {"one": "2025-01-27T12:00:01Z"}


def test_behind_a_link_it_lies_beside_the_file_itself(tmp_path: Path, file: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "c.yaml"
    link.symlink_to(file)
    LastUsedWriter(link).write({"one": NOON})
    assert read_last_used(file) == read_last_used(link) == {"one": "2025-01-27T12:00:00Z"}


def test_what_is_revoked_is_forgotten(file: Path) -> None:
    forget_last_used(file, ["one"])
    LastUsedWriter(file).write({"one": NOON, "two": NOON})
    forget_last_used(file, ["one"])
    assert list(read_last_used(file)) == ["two"]
    forget_last_used(file.parent / "none" / "c.yaml", ["one"])


def _write_many(file: Path, name: str) -> None:
    writer = LastUsedWriter(file)
    for second in range(20):
        writer.write({name: NOON + second, "shared": NOON + second})


def test_gateways_that_write_at_the_same_time(file: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_write_many, [(file, f"gateway-{number}") for number in range(3)])
    last = "2025-01-27T12:00:19Z"
    assert read_last_used(file) == {"gateway-0": last, "gateway-1": last, "gateway-2": last, "shared": last}
