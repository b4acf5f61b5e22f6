"""Passwords: random enough for a fast hash, and never accepted but whole."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials import (
    PASSWORD_LENGTH,
    Credential,
    decoy_salt,
    format_scram_keys,
    hash_password,
    is_password_hash,
    new_password,
    new_salt,
    parse_scram_keys,
    scram_keys,
    verify_password,
)


def test_a_password_verifies_against_its_own_hash_only() -> None:
    password, other = new_password(), new_password()

    assert verify_password(password, hash_password(password))
    assert not verify_password(other, hash_password(password))
    assert not verify_password("", hash_password(password))
    assert not verify_password(password + "x", hash_password(password))


def test_a_password_holds_192_random_bits() -> None:
    assert math.log2(52) + (PASSWORD_LENGTH - 1) * math.log2(62) >= 192
    assert len({new_password() for _ in range(1000)}) == 1000


def test_a_password_needs_no_quotes_in_a_jaas_line() -> None:
    for _ in range(1000):
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{32}", new_password())


def test_two_hashes_of_one_password_differ() -> None:
    password = new_password()

    first, second = hash_password(password), hash_password(password)

    assert first != second
    assert re.fullmatch(r"sha256:[0-9a-f]{32}:[0-9a-f]{64}", first)


@pytest.mark.parametrize("text", ["", "secret", "sha256:", "sha256:zz:zz", "md5:00:00", "sha256::" + "0" * 64])
def test_what_is_no_hash_verifies_nothing(text: str) -> None:
    assert not is_password_hash(text)
    assert not verify_password("", text)
    assert not verify_password(text, text)


@given(st.text(alphabet=st.characters()), st.text(alphabet=st.characters()))
def test_any_text_is_compared_and_never_an_error(password: str, attempt: str) -> None:
    assert verify_password(attempt, hash_password(password)) == (attempt == password)


SCRAM = (
    "scram-sha-512:4096:30313233343536373839616263646566:"
    "e74abedfb407f17a5a3643718e0046931a979285d51f62e1de51c9d3b83b00e1"
    "95954e0570e8bec2329073cd0597655e4b0fd29e22943dc2628188cb93a63fdb:"
    "7e08867d50dfef4efa6f79957467f871e7786d4c58e0bf008e91ec0fc291cdb1"
    "8eba390b4a98f8d25adc6fd22f1aa27852fddd062c83814828427a156a6b9ad9"
)
"""As another implementation computes it of the password `pencil`."""


def test_scram_keys_are_what_others_compute_and_read_back() -> None:
    keys = scram_keys("pencil", b"0123456789abcdef")

    assert format_scram_keys(keys) == SCRAM
    assert parse_scram_keys(SCRAM) == keys


@pytest.mark.parametrize(
    "text",
    ["", "secret", SCRAM + "0", SCRAM[:-1], SCRAM.upper(), SCRAM.replace("4096", "0"), SCRAM.replace("512", "256")],
)
def test_what_is_no_scram_keys(text: str) -> None:
    assert parse_scram_keys(text) is None


def test_keys_are_never_printed() -> None:
    credential = Credential("c", "z", "", hash_password("pencil"), None, scram_keys("pencil", new_salt()))

    assert repr(credential.scram) == f"ScramKeys(salt={credential.scram.salt!r}, iterations=4096)"  # type: ignore[union-attr]
    assert "sha256" not in repr(credential)


def test_a_decoy_is_the_same_for_a_name_and_key_and_looks_like_a_salt() -> None:
    assert decoy_salt(b"cluster", "jane") == decoy_salt(b"cluster", "jane")
    assert len({decoy_salt(key, name) for key in (b"a", b"b") for name in ("jane", "john")}) == 4
    assert len(decoy_salt(b"cluster", "jane")) == len(new_salt())


def test_a_credential_is_good_until_it_expires() -> None:
    assert Credential("c", "z", "", "").valid_at(4e9)
    assert Credential("c", "z", "", "", 100.0).valid_at(99.9)
    assert not Credential("c", "z", "", "", 100.0).valid_at(100.0)
