"""The client's message of OAUTHBEARER, as Kafka's own class reads it."""

import pytest

from protocol.errors import ClientProtocolError
from protocol.oauthbearer import parse_message


@pytest.mark.parametrize(
    ("message", "token", "authorization_id"),
    [
        (b"n,,\x01auth=Bearer 123.345.567\x01\x01", "123.345.567", ""),
        (b"n,a=myuser,\x01auth=Bearer 345\x01\x01", "345", "myuser"),
        (b"n,a=my=2Cuser=3D,\x01auth=Bearer 345\x01\x01", "345", "my=2Cuser=3D"),
        (b"n,,\x01propA=valueA1, valueA2\x01auth=Bearer 567\x01propB=valueB\x01\x01", "567", ""),
        (b"n,,\x01auth=bEaReR   a-_~+/.Z9==\x01\x01", "a-_~+/.Z9==", ""),
        (b"n,,\x01auth=Bearer one\x01auth=Bearer two\x01\x01", "two", ""),
    ],
)
def test_a_token_and_as_whom_to_act(message: bytes, token: str, authorization_id: str) -> None:
    parsed = parse_message(message)
    assert (parsed.token, parsed.authorization_id) == (token, authorization_id)
    assert token not in repr(parsed)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"\0johndoe\0password",
        b"n,,\x01\x01",
        b"n,,\x01auth=Bearer 1\x01",
        b"n,,auth=Bearer 1\x01\x01",
        b"n,,\x01auth=Bearer 1\x01\x01\x01",
        b"n,,\x01auth=Basic dXNlcg==\x01\x01",
        b"n,,\x01auth=Bearer\x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer =a\x01\x01",
        b"n,,\x01auth =Bearer 1\x01\x01",
        b"n,,\x01auth=Bearer 1\x01key1=v\x01\x01",
        b"n,,\x01auth=Bearer 1\x01key=\x01\x01",
        b"n,,\x01auth=Bearer \xc3\xa4\x01\x01",
        b"n,a=,\x01auth=Bearer 1\x01\x01",
        b"n,a=my=user,\x01auth=Bearer 1\x01\x01",
        b"y,,\x01auth=Bearer 1\x01\x01",
        b"p=tls-unique,,\x01auth=Bearer 1\x01\x01",
    ],
)
def test_what_is_no_such_message(message: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        parse_message(message)


def test_long_messages_take_linear_time() -> None:
    with pytest.raises(ClientProtocolError):
        parse_message(b"n,,\x01" + b"a=b\x01" * 100_000)
