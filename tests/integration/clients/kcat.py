"""kcat, a command-line client on the system's librdkafka."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from tests.integration.clients.base import (
    CLIENT_SECONDS,
    TOPIC_AUTHORIZATION_FAILED,
    UNKNOWN_TOPIC,
    NotAuthenticated,
    Partition,
    Record,
    Refused,
)
from tests.integration.world import Account

_ERRORS = {"Topic authorization failed": TOPIC_AUTHORIZATION_FAILED, "Unknown topic or partition": UNKNOWN_TOPIC}


def installed() -> bool:
    return shutil.which("kcat") is not None


class Kcat:
    name = "kcat"
    idempotent = True

    def __init__(self, account: Account) -> None:
        settings = {
            **account.security.librdkafka(account.user, account.password),
            "client.id": "kcat-client",
        }
        self._options = ["-b", account.bootstrap, *(f"-X{name}={value}" for name, value in settings.items())]

    def topics(self) -> dict[str, int]:
        metadata = json.loads(self._run("-L", "-J"))
        return {topic["topic"]: len(topic["partitions"]) for topic in metadata["topics"]}

    def produce(
        self,
        topic: str,
        values: Sequence[str],
        *,
        acks: str = "all",
        compression: str = "none",
        idempotent: bool = False,
        timestamp: int | None = None,
    ) -> None:
        assert timestamp is None, "kcat stamps with the present time"
        settings = [f"-Xacks={acks}", f"-Xcompression.codec={compression}"]
        if idempotent:
            settings.append("-Xenable.idempotence=true")
        self._run("-P", "-t", topic, *settings, given="".join(value + "\n" for value in values))

    def consume(
        self, topics: Sequence[str], count: int, *, group: str | None = None, partitions: int = 2
    ) -> list[Record]:
        if group is not None:
            records = self._run(
                "-G", group, "-Xauto.offset.reset=earliest", "-c", str(count), "-f", "%t %p %o %s\n", *topics
            )
            return _records(records)
        (topic,) = topics
        return _records(self._run("-C", "-t", topic, "-o", "beginning", "-c", str(count), "-f", "%t %p %o %s\n"))

    def consume_from(self, positions: Mapping[Partition, int], count: int) -> list[Record]:
        (((topic, partition), offset),) = positions.items()
        where = ["-t", topic, "-p", str(partition), "-o", str(offset)]
        return _records(self._run("-C", *where, "-c", str(count), "-f", "%t %p %o %s\n"))

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int | None]:
        asked = [argument for partition in range(2) for argument in ("-t", f"{topic}:{partition}:{timestamp}")]
        found = re.findall(r"\[(\d+)\] offset (-?\d+)", self._run("-Q", *asked))
        return {int(partition): int(offset) if int(offset) >= 0 else None for partition, offset in found}

    def _run(self, mode: str, *args: str, given: str = "") -> str:
        command = ["kcat", *self._options, mode, *args]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=CLIENT_SECONDS, check=False)
        for text, code in _ERRORS.items():
            if text in done.stderr:
                raise Refused(code)
        if "Authentication failed" in done.stderr:
            raise NotAuthenticated()
        assert done.returncode == 0, done.stderr
        return done.stdout


def _records(shown: str) -> list[Record]:
    records = []
    for line in shown.splitlines():
        topic, partition, offset, value = line.split(" ", 3)
        records.append(Record(topic, int(partition), int(offset), value))
    return records
