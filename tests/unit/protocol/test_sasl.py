"""SASL PLAIN messages (RFC 4616), judged as Kafka's PlainSaslServer does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ClientProtocolError
from protocol.sasl import PlainCredentials, build_plain, parse_plain

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(WORDS, WORDS)
def test_what_is_built_is_parsed(username: str, password: str) -> None:
    assert parse_plain(build_plain(username, password)) == PlainCredentials(username, password)


def test_an_authorization_id_may_be_the_user_itself() -> None:
    assert parse_plain(b"john\0john\0secret") == PlainCredentials("john", "secret")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"", "has 1 parts, not 3"),
        (b"john\0secret", "has 2 parts, not 3"),
        (b"\0john\0secret\0", "has 4 parts, not 3"),
        (b"\0\0secret", "lacks the user name or the password"),
        (b"\0john\0", "lacks the user name or the password"),
        (b"jane\0john\0secret", "asks to act as another user"),
        (b"\0john\0\xff\xfe", "is not UTF-8"),
    ],
)
def test_other_messages_are_refused_without_quoting_them(message: bytes, text: str) -> None:
    with pytest.raises(ClientProtocolError, match=text) as caught:
        parse_plain(message)
    assert "secret" not in str(caught.value)


def test_a_password_is_never_printed() -> None:
    assert repr(PlainCredentials("john", "secret")) == "PlainCredentials(username='john')"
