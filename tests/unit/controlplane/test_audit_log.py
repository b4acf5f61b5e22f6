"""The audit log's writer: order, rotation, and what becomes of lines when there is no place for them."""

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from controlplane.audit_log import RETRY_SECONDS, AppendedFile, AuditLog, open_audit_log
from controlplane.audit_settings import AuditSettings
from controlplane.problems import ConfigurationError
from tests.kafka.waiting import wait_until

DEADLINE_SECONDS = 10.0


class Disk:
    """An output that the test can fill, block, and rotate."""

    def __init__(self) -> None:
        self.files = [b""]
        self.room: float = float("inf")
        self.open = threading.Event()
        self.open.set()
        self.attempts = 0
        self._rotated = False

    def rotate(self) -> None:
        self.files.append(b"")
        self._rotated = True

    def prepare(self) -> bool:
        rotated, self._rotated = self._rotated, False
        return rotated

    def write(self, data: memoryview) -> int:
        assert self.open.wait(DEADLINE_SECONDS)
        self.attempts += 1
        size = int(min(self.room, len(data)))
        if not size:
            raise OSError(errno.ENOSPC, "no space")
        self.files[-1] += data[:size]
        self.room -= size
        return size

    def at_rest(self) -> None:
        assert self.files[-1][-1:] in (b"", b"\n"), "others would write into a line"

    def close(self) -> None:
        self.room = 0

    def lines(self, file: int = -1) -> list[dict[str, Any]]:
        """The whole lines."""
        return [json.loads(line) for line in self.files[file].rpartition(b"\n")[0].splitlines()]


def event(number: int) -> dict[str, object]:
    return {"event": "test", "number": number}


def numbers(lines: list[dict[str, Any]]) -> list[int]:
    return [line["number"] for line in lines if line["event"] == "test"]


def file_lines(*paths: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text().rpartition("\n")[0].splitlines()]


def lost(log: AuditLog) -> str:
    registry = CollectorRegistry()
    registry.register(log)
    text = generate_latest(registry).decode()
    return next(line.split()[1] for line in text.splitlines() if line.startswith("zonegate_audit_lost_total "))


# a file


def test_all_is_there_in_its_order_when_it_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with AuditLog(AppendedFile(file)) as log:
        for number in range(5_000):
            log.append(event(number))
    assert numbers(file_lines(file)) == list(range(5_000))
    assert lost(log) == "0.0"


def test_lines_are_there_soon(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with AuditLog(AppendedFile(file)) as log:
        log.append(event(1))
        wait_until(lambda: numbers(file_lines(file)) == [1], "the line", DEADLINE_SECONDS)


def test_only_its_owner_may_read_it_and_what_was_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    for number in (1, 2):
        with AuditLog(AppendedFile(file)) as log:
            log.append(event(number))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert numbers(file_lines(file)) == [1, 2]


def test_renaming_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    rotated = [tmp_path / f"audit.log.{number}" for number in range(20)]
    with AuditLog(AppendedFile(file)) as log:
        for turn, name in enumerate(rotated):
            for number in range(100):
                log.append(event(turn * 100 + number))
            wait_until(lambda: file.exists() and file.stat().st_size > 0, "lines in the new file", DEADLINE_SECONDS)
            file.rename(name)
        log.append(event(2_000))
    # a batch that was under way goes to the file that it was begun in, whatever its name by then
    assert numbers(file_lines(*rotated, file)) == list(range(2_001))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_copying_and_truncating_leaves_no_hole(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with AuditLog(AppendedFile(file)) as log:
        log.append(event(1))
        wait_until(lambda: file.stat().st_size > 0, "a line", DEADLINE_SECONDS)
        os.truncate(file, 0)
        log.append(event(2))
    assert numbers(file_lines(file)) == [2]


@pytest.mark.parametrize(
    ("output", "reason"),
    [("missing/audit.log", "its folder does not exist"), ("./folder", "Is a directory"), ("file/x", "Not a directory")],
)
def test_a_path_that_cannot_be_opened_is_a_problem_of_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    settings = AuditSettings(output=output)
    with pytest.raises(ConfigurationError) as caught:
        open_audit_log(settings)
    assert str(caught.value) == f"audit.output: {settings.file} cannot be written: {reason}"


def test_none_is_none() -> None:
    assert open_audit_log(AuditSettings(output="none")) is None


# lines


def test_a_line_is_ascii_and_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    hostile = 'a\nb\r\x1b[2J"\\\u2028\u202e\ud800é'
    with AuditLog(AppendedFile(file)) as log:
        log.append({"event": "test", "alias": hostile})
    (line,) = file.read_bytes().splitlines(keepends=True)
    assert line.isascii()
    assert line[:-1].decode().isprintable()
    assert json.loads(line)["alias"] == hostile


_TO_STDOUT = """
from controlplane.audit_log import open_audit_log
from controlplane.audit_settings import AuditSettings
with open_audit_log(AuditSettings()) as log:
    for number in range(1000):
        log.append({"event": "test", "number": number})
"""


def test_standard_output_is_written_to_its_end(request: pytest.FixtureRequest) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TO_STDOUT],
        capture_output=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(request.config.rootpath)},
    )
    assert [json.loads(line)["number"] for line in done.stdout.splitlines()] == list(range(1_000))
    assert done.stderr == b""


# trouble


def test_who_appends_never_waits_and_a_line_tells_what_is_missing() -> None:
    disk = Disk()
    disk.open.clear()
    with AuditLog(disk, max_waiting=10) as log:
        log.append(event(0))
        wait_until(lambda: not log._waiting, "the thread at its first write", DEADLINE_SECONDS)
        for number in range(1, 101):
            log.append(event(number))
        assert lost(log) == "90.0"
        disk.open.set()
        wait_until(lambda: len(disk.lines()) == 12, "all that was accepted, and the line", DEADLINE_SECONDS)
        log.append(event(101))
    assert numbers(disk.lines()) == [*range(11), 101]
    told = disk.lines()[11]
    assert (told["event"], told["version"], told["count"]) == ("audit_lost", 1, 90)


def test_while_it_stays_full_losses_are_told_where_they_are() -> None:
    disk = Disk()
    disk.open.clear()
    with AuditLog(disk, max_waiting=2) as log:
        log.append(event(0))
        wait_until(lambda: not log._waiting, "the thread at its first write", DEADLINE_SECONDS)
        for number in range(1, 6):
            log.append(event(number))
        log._waiting.popleft()  # as the thread would, between two batches
        log.append(event(6))
        disk.open.set()
    assert [line.get("number", line.get("count")) for line in disk.lines()] == [0, 2, 3, 6]
    assert disk.lines()[2]["event"] == "audit_lost"


def test_a_full_disk_is_waited_for_and_no_line_is_torn_or_doubled(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    disk.room = 100
    with AuditLog(disk) as log:
        for number in range(50):
            log.append(event(number))
        wait_until(lambda: disk.attempts > 2, "a second attempt", DEADLINE_SECONDS + RETRY_SECONDS)
        disk.room = float("inf")
        wait_until(lambda: numbers(disk.lines()) == list(range(50)), "all lines", DEADLINE_SECONDS)
    assert lost(log) == "0.0"
    (complaint,) = caplog.records
    assert complaint.__dict__["event"] == "audit_not_written"
    assert complaint.__dict__["problem"] == "No space left on device"


def test_a_line_that_was_torn_by_a_full_disk_is_whole_in_the_next_file() -> None:
    disk = Disk()
    disk.room = len(b'{"event":"test","number":1}\n') + 5
    with AuditLog(disk) as log:
        for number in (1, 2):
            log.append(event(number))
        wait_until(lambda: not disk.room, "a full disk", DEADLINE_SECONDS)
        disk.rotate()
        disk.room = float("inf")
    assert disk.files[0] == b'{"event":"test","number":1}\n{"eve'
    assert numbers(disk.lines(1)) == [2]


def test_an_end_with_a_full_disk_is_an_end_and_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    disk.room = 0
    with AuditLog(disk) as log:
        for number in range(700):
            log.append(event(number))
    assert lost(log) == "700.0"
    assert [record.__dict__.get("lines") for record in caplog.records][-1] == 700


_WRITER = """
import sys
from pathlib import Path
from controlplane.audit_log import AppendedFile, AuditLog, InTurns, StandardOutput

output = StandardOutput() if sys.argv[1] == "-" else AppendedFile(Path(sys.argv[1]))
print("ready", file=sys.stderr, flush=True)
sys.stdin.read()
with AuditLog(InTurns(output), worker=int(sys.argv[2])) as log:
    for number in range(300):
        log.append({"number": number, "long": sys.argv[2] * 5000})
"""


@pytest.mark.parametrize("output", ["pipe", "file"])
def test_processes_take_turns(output: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    read_end, write_end = os.pipe()
    target = "-" if output == "pipe" else str(file)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, target, str(worker)],
            stdin=subprocess.PIPE,
            stdout=write_end,
            stderr=subprocess.PIPE,
        )
        for worker in range(3)
    ]
    os.close(write_end)
    for process in processes:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    with open(read_end, "rb") as reader:
        written = reader.read()  # more than a pipe holds
    for process in processes:
        with process:
            assert process.wait(DEADLINE_SECONDS) == 0

    lines = [json.loads(line) for line in (written if output == "pipe" else file.read_bytes()).splitlines()]
    assert len(lines) == 900
    for worker in range(3):
        own = [line for line in lines if line["worker"] == worker]
        assert [line["number"] for line in own] == list(range(300))
        assert {line["long"] for line in own} == {str(worker) * 5000}
