"""What happens in a world, one step after the other, and the file that keeps the steps of a failure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final

from protocol.schema import API_NAMES

WHOLE: Final = 0
EVERY_BYTE: Final = 1
SHOWN_BYTES: Final = 48


class Kind(StrEnum):
    CONNECT = "a client connects"
    SIGN_IN = "signs in"
    CLIENT = "client sends"
    TOKEN = "client sends a token"
    BROKER = "broker sends"
    TIME = "time passes"
    DEADLINES = "deadlines are looked at, later by"
    STOP_READING = "stops reading"
    READ_AGAIN = "reads again"
    HANG_UP = "hangs up"
    DRAIN = "the gateway drains it"
    ZONES = "of the zone are served from now on"
    CONNECTS = "is what new connections to brokers meet"


@dataclass(frozen=True, slots=True)
class Step:
    """One event. `pair` is the number of a client's connection, with its broker's."""

    kind: Kind
    pair: int = 0
    data: bytes = b""
    cut: int = WHOLE
    """How the bytes arrive: whole, every byte alone, or else in random chunks of this seed."""
    answers: bool = False
    """Of a broker: gets the correlation id of the request that is to be answered next."""
    damaged: bool = False
    """Of a broker: may hold anything anywhere."""
    number: int = 0
    """A broker's id (0: the bootstrap port), seconds, or the version of a token's request (-1: without one)."""
    text: str = ""
    """A side, a user, or what something is from now on."""
    frames: int = 0
    """For the count."""

    def chunks(self) -> Iterator[bytes]:
        if self.cut == WHOLE:
            yield self.data
        elif self.cut == EVERY_BYTE:
            yield from (self.data[i : i + 1] for i in range(len(self.data)))
        else:
            rng, position = Random(self.cut), 0  # noqa: S311 - test data
            while position < len(self.data):
                size = rng.choice((1, 3, 14, 200, 1024, 5000, 70_000))
                yield self.data[position : position + size]
                position += size

    def __str__(self) -> str:
        parts = [f"{self.pair}: {self.text} {self.kind}".replace("  ", " ")]
        if self.kind is Kind.CLIENT and len(self.data) >= 8:
            key = int.from_bytes(self.data[4:6], "big", signed=True)
            version = int.from_bytes(self.data[6:8], "big", signed=True)
            parts.append(f"{API_NAMES.get(key, key)} v{version}")
        if self.number:
            parts.append(str(self.number))
        if self.data:
            shown = self.data[:SHOWN_BYTES].hex()
            parts.append(f"{len(self.data)} bytes {shown}{'…' if len(self.data) > SHOWN_BYTES else ''}")
        if self.cut != WHOLE:
            parts.append("byte by byte" if self.cut == EVERY_BYTE else "in chunks")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Script:
    """A world's setting and what happens in it."""

    setting: str
    steps: Sequence[Step]

    def save(self, path: Path, check: str, message: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        steps = [_plain(step) for step in self.steps]
        kept = {"check": check, "message": message, "setting": self.setting, "steps": steps}
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=True) + "\n")

    @staticmethod
    def load(path: Path) -> "Script":
        kept = json.loads(path.read_text())
        steps = [
            Step(**{**step, "kind": Kind(step["kind"]), "data": bytes.fromhex(step.get("data", ""))})
            for step in kept["steps"]
        ]
        return Script(kept["setting"], steps)


def _plain(step: Step) -> dict[str, Any]:
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in asdict(step).items()
        if value or name == "kind"
    }
