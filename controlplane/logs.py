"""Log lines on standard error: readable text (`key=value` at the end) or one JSON object each.

Every `extra` of a record is printed, but for secrets. What a client sent may appear in a line; it can neither
begin a new one nor send control characters to a terminal.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

from controlplane.settings import LogSettings

HIDDEN = "***"

_SECRET_KEY = re.compile(r"password|secret|jaas|token|authorization", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_PLAIN_VALUE = re.compile(r"[^\s\"'=\\]+")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


SAID_ONCE = {
    "zonegate.serve": (logging.WARNING, logging.CRITICAL),
    "zonegate.gateway": (logging.WARNING, logging.WARNING),
    "zonegate.configuration": (logging.INFO, logging.CRITICAL),
    "zonegate.certificates": (logging.INFO, logging.CRITICAL),
    "zonegate.credentials": (logging.INFO, logging.CRITICAL),
    "zonegate.routing": (logging.INFO, logging.CRITICAL),
}
"""Loggers that say the same in every worker: from which level the first worker is heard, and from which the others.
What is no worker's alone, as that all are ready, is the supervisor's to say."""


def configure_logging(settings: LogSettings, stream: TextIO | None = None, worker: int | None = None) -> None:
    """Sends every record of this process to one handler; libraries speak from WARNING on. The records of one of several
    workers carry its number, and what all say is left to the first."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.format == "json" else TextFormatter())
    root = logging.getLogger()
    if worker is not None:
        _be_one_of_several(handler, worker, settings)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("zonegate").setLevel(settings.level.upper())
    # while brokers are away it says so ten times a second; that they are is said in our own words
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    sys.unraisablehook = _log_unraisable


def _be_one_of_several(handler: logging.Handler, worker: int, settings: LogSettings) -> None:
    def number(record: logging.LogRecord) -> bool:
        record.worker = worker
        return True

    handler.addFilter(number)
    for name, (first, others) in SAID_ONCE.items():
        level = first if worker == 0 else others
        logging.getLogger(name).setLevel(max(level, logging.getLevelNamesMapping()[settings.level.upper()]))


def _log_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """What Python cannot raise, for example of a TLS client's server name that is no text: one line as all others."""
    extra = {"event": "unraisable", "problem": repr(unraisable.exc_value)}
    logging.getLogger("zonegate").warning("an error that nobody could catch", extra=extra)


def extras(record: logging.LogRecord) -> dict[str, object]:
    """What was passed as `extra`, without secrets."""
    return {
        key: HIDDEN if _SECRET_KEY.search(key) else value for key, value in vars(record).items() if key not in _STANDARD
    }


class JsonFormatter(logging.Formatter):
    """One JSON object a line; the extras stand beside time, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in extras(record).items() if key not in entry}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: message key=value …`, and a stack trace below it when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {_printable(record.getMessage())}"
        for key, value in extras(record).items():
            line += f" {key}={_text_value(value)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _text_value(value: object) -> str:
    text = str(value)
    if _PLAIN_VALUE.fullmatch(text) and text.isprintable():
        return text
    return '"' + _printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _ESCAPES.get(character) or f"\\u{ord(character):04x}"
        for character in text
    )
