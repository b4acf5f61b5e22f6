"""Passwords: random enough for a fast hash, and never accepted but whole."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials import PASSWORD_LENGTH, hash_password, is_password_hash, new_password, verify_password


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
