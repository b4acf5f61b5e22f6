"""SCRAM messages and proofs (RFC 5802), against fixed values and against another implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramClient, ScramMechanism

from protocol import scram_server as scram
from protocol.errors import ClientProtocolError

SALT = b"0123456789abcdef"
STORED_KEY = bytes.fromhex(
    "e74abedfb407f17a5a3643718e0046931a979285d51f62e1de51c9d3b83b00e1"
    "95954e0570e8bec2329073cd0597655e4b0fd29e22943dc2628188cb93a63fdb"
)
SERVER_KEY = bytes.fromhex(
    "7e08867d50dfef4efa6f79957467f871e7786d4c58e0bf008e91ec0fc291cdb1"
    "8eba390b4a98f8d25adc6fd22f1aa27852fddd062c83814828427a156a6b9ad9"
)
"""Of the password `pencil`, with 4096 iterations."""

NONCE = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=" + NONCE + b",s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096"
PROOF = b"VGyrj2eHvI+WpGHthq72MbY4w3VveKSlNp58BUW5Dyg3+qi63gSDCxWPN7Z99mA7dIjpfu/PP5VuKSH2FXh6VQ=="
CLIENT_FINAL = b"c=biws,r=" + NONCE + b",p=" + PROOF
SERVER_FINAL = b"v=GSDOo4R7sl2iYhZeNid7pJugJIIK00Ey/hvF3VxtopZ4YMP/PZG5qXR5ZxZEAn+nVajcQGgE4oynsoEIYaHsLg=="


def test_an_exchange_byte_by_byte() -> None:
    first = scram.parse_client_first(CLIENT_FIRST)
    assert first == scram.ClientFirst("user", b"rOprNGfwEbeRWgbNEkqO", b"n,,", b"n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert scram.build_server_first(NONCE, SALT, 4096) == SERVER_FIRST
    final = scram.parse_client_final(CLIENT_FINAL)
    assert (final.header, final.nonce) == (b"n,,", NONCE)
    signed = scram.auth_message(first, SERVER_FIRST, final)
    assert scram.is_proof(STORED_KEY, signed, final.proof)
    assert not scram.is_proof(SERVER_KEY, signed, final.proof)
    assert not scram.is_proof(STORED_KEY, signed + b"x", final.proof)
    assert scram.build_server_final(SERVER_KEY, signed) == SERVER_FINAL


@pytest.mark.parametrize("username", ["johndoe", "a,b=c", "=2C", "zoë", "x" * 1000])
def test_another_implementation_s_client(username: str) -> None:
    mechanism = ScramMechanism("SCRAM-SHA-512")
    salt, stored_key, server_key, iterations = mechanism.make_auth_info("pencil")
    client = ScramClient(["SCRAM-SHA-512"], username, "pencil")
    first = scram.parse_client_first(client.get_client_first().encode())
    assert first.username == username
    server_first = scram.build_server_first(first.nonce + b"ours", bytes(salt), int(iterations))
    client.set_server_first(server_first.decode())
    final = scram.parse_client_final(client.get_client_final().encode())
    signed = scram.auth_message(first, server_first, final)
    assert scram.is_proof(stored_key, signed, final.proof)
    client.set_server_final(scram.build_server_final(server_key, signed).decode())


@pytest.mark.parametrize(
    ("message", "username"),
    [(b"n,,n=a=2Cb=3Dc,r=x", "a,b=c"), (b"n,,n==3D2C,r=x", "=2C"), (b"n,a=jane,n=jane,r=x", "jane")],
)
def test_user_names(message: bytes, username: str) -> None:
    assert scram.parse_client_first(message).username == username


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"n,,n=user",
        b"n,,n=,r=x",
        b"n,,n=user,r=",
        b"n,,r=x,n=user",
        b"y,,n=user,r=x",
        b"p=tls-exporter,,n=user,r=x",
        b"n,,m=ext,n=user,r=x",
        b"n,,n=user,r=x,tokenauth=true",
        b"n,,n=user,r=x\n",
        b"n,,n=us=er,r=x",
        b"n,,n=us\0er,r=x",
        b"n,,n=\xff,r=x",
        b"n,a=other,n=user,r=x",
        CLIENT_FINAL,
        "n,,n=user,r=x".encode("utf-16"),
    ],
)
def test_other_first_messages_are_refused(message: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        scram.parse_client_first(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        CLIENT_FIRST,
        CLIENT_FINAL[:-1],
        CLIENT_FINAL + b"=",
        CLIENT_FINAL + b"\n",
        CLIENT_FINAL + b",x=y",
        CLIENT_FINAL.replace(b",p=", b",x=y,p="),
        CLIENT_FINAL.replace(b"c=biws,", b""),
        CLIENT_FINAL.replace(b"biws", b"biw"),
        CLIENT_FINAL.replace(b"biws", b"b=ws"),
        CLIENT_FINAL.replace(PROOF, b"AAAA"),
    ],
)
def test_other_final_messages_are_refused(message: bytes) -> None:
    with pytest.raises(ClientProtocolError):
        scram.parse_client_final(message)


@given(st.binary() | st.binary().map(lambda rest: b"n,,n=" + rest) | st.binary().map(lambda rest: CLIENT_FINAL + rest))
def test_any_bytes_are_a_message_or_a_refusal(message: bytes) -> None:
    for parse in (scram.parse_client_first, scram.parse_client_final):
        try:
            parse(message)
        except ClientProtocolError as error:
            assert len(str(error)) < 100, "the message itself is not repeated"


def test_a_long_message_is_judged_quickly() -> None:
    for message in (b"n,,n=" + b"=2C" * 170_000, b"n," * 250_000, b"c=" + b"A" * 500_000):
        for parse in (scram.parse_client_first, scram.parse_client_final):
            with pytest.raises(ClientProtocolError):
                parse(message)
