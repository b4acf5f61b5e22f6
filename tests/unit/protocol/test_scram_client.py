"""SCRAM's client side: the RFC's own example, a server written by others, and servers that lie."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scramp import ScramException, ScramMechanism

from protocol.errors import BrokerProtocolError
from protocol.scram_client import SaltedPassword, ScramClient

SALT = b"salt-of-the-server"
SECRET = "pencil"
NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def client(username: str = "user", secret: str = SECRET, mechanism: str = "SCRAM-SHA-256") -> ScramClient:
    return ScramClient(mechanism, username, SaltedPassword(mechanism, secret), NONCE)


def test_the_example_of_rfc_7677() -> None:
    scram = client()
    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.final(SERVER_FIRST) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    scram.verify(SERVER_FINAL)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("username", ["gate", "a=b", "a,b", "=2C,=3D", "CN=gate,O=Example"])
def test_another_servers_words(mechanism: str, username: str) -> None:
    library = ScramMechanism(mechanism)
    asked: list[str] = []

    def stored(name: str) -> tuple[bytes, bytes, bytes, int]:
        asked.append(name)
        return library.make_auth_info("s3cret, with = and ,", salt=SALT)  # type: ignore[no-any-return]

    server, scram = library.make_server(stored), client(username, "s3cret, with = and ,", mechanism)
    server.set_client_first(scram.first().decode())
    server.set_client_final(scram.final(server.get_server_first().encode()).decode())
    scram.verify(server.get_server_final().encode())
    assert asked == [username]

    server, scram = library.make_server(stored), client(username, "another", mechanism)
    server.set_client_first(scram.first().decode())
    with pytest.raises(ScramException, match="client keys"):
        server.set_client_final(scram.final(server.get_server_first().encode()).decode())


def test_the_work_is_done_once_for_each_salt() -> None:
    password = SaltedPassword("SCRAM-SHA-256", "pencil")
    first = password.salted(b"one", 4096)
    assert password.salted(b"one", 4096) is first
    assert password.salted(b"two", 4096) != first
    assert password.salted(b"one", 4097) != first
    assert password.salted(b"one", 4096) == first
    assert "pencil" not in repr(password)


MALFORMED_FIRST = "the broker's first SCRAM message is malformed"
FIRST_LIES = {
    "empty": (b"", MALFORMED_FIRST),
    "no attributes": (b"hello", MALFORMED_FIRST),
    "no salt": (b"r=" + NONCE.encode() + b"x,i=4096", MALFORMED_FIRST),
    "no iterations": (b"r=" + NONCE.encode() + b"x,s=W22Z", MALFORMED_FIRST),
    "iterations that are no number": (b"r=" + NONCE.encode() + b"x,s=W22Z,i=many", MALFORMED_FIRST),
    "iterations that never end": (b"r=" + NONCE.encode() + b"x,s=W22Z,i=" + b"9" * 5000, MALFORMED_FIRST),
    "not UTF-8": (b"r=\xff", "a SCRAM message of the broker is not UTF-8"),
    "a salt that is not base64": (
        b"r=" + NONCE.encode() + b"x,s=abcde,i=4096",
        "a SCRAM message of the broker has a value that is not base64",
    ),
    "another client's nonce": (b"r=abc,s=W22Z,i=4096", "the broker's SCRAM nonce doesn't continue ours"),
    "our nonce alone": (
        b"r=" + NONCE.encode() + b",s=W22Z,i=4096",
        "the broker's SCRAM nonce doesn't continue ours",
    ),
    "too few iterations": (
        b"r=" + NONCE.encode() + b"x,s=W22Z,i=1",
        "the broker asks for 1 SCRAM iterations, allowed are 4096 to 100000",
    ),
    "too many iterations": (
        b"r=" + NONCE.encode() + b"x,s=W22Z,i=100001",
        "the broker asks for 100001 SCRAM iterations, allowed are 4096 to 100000",
    ),
}


@pytest.mark.parametrize(("message", "error"), FIRST_LIES.values(), ids=FIRST_LIES.keys())
def test_a_first_message_that_cannot_be(message: bytes, error: str) -> None:
    with pytest.raises(BrokerProtocolError) as caught:
        client().final(message)
    assert str(caught.value) == error


FINAL_LIES = {
    "empty": (b"", "the broker's last SCRAM message is malformed"),
    "something else": (b"welcome", "the broker's last SCRAM message is malformed"),
    "an error": (b"e=other-error", "the broker ended SCRAM with an error"),
    "not base64": (b"v=abcde", "a SCRAM message of the broker has a value that is not base64"),
    "another signature": (b"v=AAAA", "the broker's SCRAM signature is wrong: it does not know the password"),
    "nearly the signature": (
        SERVER_FINAL.replace(b"6rri", b"6rrj"),
        "the broker's SCRAM signature is wrong: it does not know the password",
    ),
}


@pytest.mark.parametrize(("message", "error"), FINAL_LIES.values(), ids=FINAL_LIES.keys())
def test_a_server_that_does_not_know_the_password(message: bytes, error: str) -> None:
    scram = client()
    scram.final(SERVER_FIRST)
    with pytest.raises(BrokerProtocolError) as caught:
        scram.verify(message)
    assert str(caught.value) == error


def test_a_signature_before_its_time() -> None:
    with pytest.raises(BrokerProtocolError):
        client().verify(SERVER_FINAL)


@settings(max_examples=300, deadline=None, database=None)
@given(st.binary(max_size=60) | st.text("rsive=,+/0123456789ABab", max_size=60).map(str.encode))
def test_whatever_else_a_server_says_is_a_protocol_error(message: bytes) -> None:
    scram = client()
    with pytest.raises(BrokerProtocolError):
        scram.final(message)
    scram.final(SERVER_FIRST)
    with pytest.raises(BrokerProtocolError):
        scram.verify(message)
