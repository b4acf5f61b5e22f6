"""Secrets, also where they don't belong, are in no log line, audit line, metric, answer or repr."""

import io
import logging
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import generate_latest

from controlplane.logs import JsonFormatter, TextFormatter
from policies.credentials import Credential
from protocol.headers import frame
from protocol.sasl import build_plain
from proxy.audit import WINDOW_SECONDS
from tests.unit.proxy.playbook import LIMITS, PASSWORD, Dialogue, Playbook

SECRET = "hunter2-marker"
SECRETS = (SECRET, PASSWORD, "sha256:")
"""A wrong password, the right one, and the beginning of every hash."""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged at any level, in both formats."""
    written = io.StringIO()
    handlers = [logging.StreamHandler(written), logging.StreamHandler(written)]
    handlers[0].setFormatter(JsonFormatter())
    handlers[1].setFormatter(TextFormatter())
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    for handler in handlers:
        logger.addHandler(handler)
    yield written
    for handler in handlers:
        logger.removeHandler(handler)
    logger.setLevel(level)


def plain(token: bytes) -> Callable[[Dialogue], None]:
    def sign_in(dialogue: Dialogue) -> None:
        dialogue.client_sends(17, 1, mechanism="PLAIN")
        dialogue.client_receives()
        dialogue.client_sends(36, 2, auth_bytes=token)

    return sign_in


def bare_token(dialogue: Dialogue) -> None:
    dialogue.client_sends(17, 0, mechanism="PLAIN")
    dialogue.client_receives()
    dialogue.client_sends_bytes(frame(build_plain("johndoe", SECRET)))


def request_too_early(dialogue: Dialogue) -> None:
    dialogue.client_sends(3, 1, topics=(), client_id=SECRET)


def handshake_cut_short(dialogue: Dialogue) -> None:
    dialogue.client_sends_bytes(frame(b"\0\x11\0\1\0\0\0\1\xff\xff\0\x7f" + SECRET.encode()))


def damaged_request(dialogue: Dialogue) -> None:
    dialogue.signs_in()
    dialogue.client_sends_bytes(frame(b"\0\x0c\0\1\0\0\0\1\xff\xff\x7f\xff" + SECRET.encode()))


def everywhere_but_where_it_is_asked_for(dialogue: Dialogue) -> None:
    """Where a session goes on: its client id, its software's version, an API that does not exist."""
    dialogue.signs_in()
    dialogue.client_sends(18, 3, client_software_name="app", client_software_version=SECRET, client_id=SECRET)
    dialogue.client_receives()
    dialogue.client_sends(12, 1, group_id="g", member_id=SECRET, generation_id=1, client_id=SECRET)
    dialogue.broker_answers(dialogue.broker_gets())
    dialogue.client_sends(36, 2, auth_bytes=build_plain("johndoe", SECRET), client_id=SECRET)
    dialogue.client_sends_bytes(frame(b"\x7f\0\0\0\0\0\0\1\xff\xff" + SECRET.encode()))


WAYS = {
    "right": plain(build_plain("johndoe", PASSWORD)),
    "wrong": plain(build_plain("johndoe", SECRET)),
    "as the name": plain(build_plain(SECRET, "x")),
    "the right one as the name": plain(build_plain(PASSWORD, "johndoe")),
    "as both": plain(build_plain(SECRET, SECRET)),
    "in place of the token": plain(SECRET.encode()),
    "as the identity to act for": plain(f"{SECRET}\0johndoe\0{PASSWORD}".encode()),
    "behind the token": plain(f"\0johndoe\0{PASSWORD}\0{SECRET}".encode()),
    "as the mechanism": lambda dialogue: dialogue.client_sends(17, 1, mechanism=SECRET) and None,
    "as the software's name": lambda dialogue: (
        dialogue.client_sends(18, 3, client_software_name=SECRET + "!", client_software_version="1") and None
    ),
    "bare": bare_token,
    "in HTTP": lambda dialogue: dialogue.client_sends_bytes(f"GET / HTTP/1.1\r\nAuthorization: {SECRET}\r\n".encode()),
    "too early": request_too_early,
    "cut short": handshake_cut_short,
    "in a damaged request": damaged_request,
    "everywhere": everywhere_but_where_it_is_asked_for,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_no_secret_is_shown(log: io.StringIO, way: Callable[[Dialogue], None]) -> None:
    with Playbook() as playbook:
        for _ in range(3):
            dialogue = playbook.connects()
            way(dialogue)
            playbook.loop.advance(LIMITS.failed_authentication_delay_seconds)
            answered = bytes(dialogue.client.sent).decode("latin-1")
            session = dialogue.session
            shown = [answered, repr(session), repr(session._authentication.principal), repr(playbook.services.config)]
            dialogue.client.hang_up()
            playbook.loop.run_due()
            _assert_none(shown)
        playbook.loop.advance(WINDOW_SECONDS)
        playbook.audit.finish()
        _assert_none([generate_latest(playbook.metrics.registry).decode(), str(playbook.audited), log.getvalue()])
        assert playbook.audited, "nothing was audited"
        assert log.getvalue(), "nothing was logged"


def test_what_a_credential_is_looks_like_nothing() -> None:
    credential = Credential("id", "zone", "2030-01-01T00:00:00Z", SECRET)
    _assert_none([repr(credential), str(credential), repr([credential])])


def _assert_none(texts: list[str]) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text, text
