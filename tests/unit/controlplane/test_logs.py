"""Log lines: every extra is in them, no secret is, and nobody's bytes can forge one."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from controlplane.logs import SAID_ONCE, JsonFormatter, TextFormatter, configure_logging
from controlplane.settings import LogSettings


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("zonegate.session").makeRecord(
        "zonegate.session", logging.INFO, "file.py", 1, message, arguments, None, extra=extra
    )
    made.created = 1737982505.387
    return made


def test_text() -> None:
    line = TextFormatter().format(
        record("connection of %s ended", "johndoe", event="connection_end", client="10.0.0.1:5", reason="by client")
    )

    assert line == (
        "2025-01-27T12:55:05.387Z INFO    zonegate.session: connection of johndoe ended "
        'event=connection_end client=10.0.0.1:5 reason="by client"'
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (None, "None"),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\nb", '"a\\nb"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("back\\slash", '"back\\\\slash"'),
    ],
)
def test_values_of_a_text_line(value: object, shown: str) -> None:
    assert TextFormatter().format(record("m", key=value)).endswith(f": m key={shown}")


def test_a_message_cannot_begin_a_new_line() -> None:
    assert (
        TextFormatter()
        .format(record("client id %s", "x\n2025 INFO forged"))
        .endswith(": client id x\\n2025 INFO forged")
    )


def test_json() -> None:
    line = JsonFormatter().format(record("ended\n", event="connection_end", bytes_in=3, peer=("10.0.0.1", 5)))

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2025-01-27T12:55:05.387Z",
        "level": "info",
        "logger": "zonegate.session",
        "message": "ended\n",
        "event": "connection_end",
        "bytes_in": 3,
        "peer": ["10.0.0.1", 5],
    }


@pytest.mark.parametrize("key", ["password", "sasl_password", "password_hash", "jaas_config", "Authorization", "token"])
def test_secrets_are_hidden(key: str) -> None:
    made = record("m", **{key: "topsecret"})

    assert TextFormatter().format(made).endswith(f"{key}=***")
    assert json.loads(JsonFormatter().format(made))[key] == "***"


def test_stack_traces() -> None:
    made = record("broken")
    try:
        raise ValueError("inner")
    except ValueError:
        made.exc_info = sys.exc_info()

    assert TextFormatter().format(made).endswith("ValueError: inner")
    assert json.loads(JsonFormatter().format(made))["exception"].endswith("ValueError: inner")


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("zonegate")
    handlers, levels, hook = list(root.handlers), (root.level, ours.level), sys.unraisablehook
    yield
    for name in SAID_ONCE:
        logging.getLogger(name).setLevel(logging.NOTSET)
    sys.unraisablehook = hook
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.mark.usefixtures("_logging_restored")
def test_levels_and_format_come_from_the_settings() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format="json", level="debug"), stream)

    logging.getLogger("zonegate.session").debug("ours")
    logging.getLogger("uvicorn").info("theirs")
    logging.getLogger("uvicorn").warning("their warning")

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ours", "their warning"]


class _Ends:
    def __del__(self) -> None:
        raise ValueError("nobody hears\nof this")


@pytest.mark.usefixtures("_logging_restored")
def test_what_python_cannot_raise_is_one_line() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format="json"), stream)

    _Ends()

    line = json.loads(stream.getvalue())
    assert (line["level"], line["message"], line["problem"]) == (
        "warning",
        "an error that nobody could catch",
        "ValueError('nobody hears\\nof this')",
    )


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize(
    ("worker", "level", "heard"),
    [
        (0, "info", ["loaded", "listening", "trouble inside", "the zone's", "a session"]),
        (1, "info", ["trouble inside", "the zone's", "a session"]),
        (0, "error", ["trouble inside"]),
    ],
)
def test_of_several_workers_one_speaks_for_all(worker: int, level: str, heard: list[str]) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings.model_validate({"format": "json", "level": level}), stream, worker)

    logging.getLogger("zonegate.configuration").info("loaded")
    logging.getLogger("zonegate.routing").info("listening")
    logging.getLogger("zonegate.serve").info("gateway is ready, which is the supervisor's to say")
    logging.getLogger("zonegate.gateway").error("trouble inside")
    logging.getLogger("zonegate.zone").warning("the zone's")
    logging.getLogger("zonegate.session").info("a session")

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"] for line in lines] == heard
    assert {line["worker"] for line in lines} == {worker}
