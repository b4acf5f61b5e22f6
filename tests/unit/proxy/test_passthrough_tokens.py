"""The admin's tokens: what is in them, who takes them, and what never signs in."""

import base64
import json
from collections.abc import Callable
from typing import Any, Final

import jwt
import pytest

from policies.credentials import Credential, hash_password
from policies.zone import Alias, Permission, Zone
from protocol.sasl import build_plain
from proxy.config import PassthroughConfig
from proxy.mechanisms.mechanism import FAILURE_TEXT, Accepted, Mechanism, Principal, Refused, Step
from proxy.mechanisms.passthrough import PassthroughTokens, PlainWithTokens, with_tokens
from proxy.mechanisms.plain import Plain
from proxy.metrics import GatewayMetrics
from proxy.zones import ZoneRegistry
from tests.unit.proxy.admin import ADMIN, PASSWORD, make

NOW: Final = 1_700_000_000.5


def unverified(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False})


def test_a_token_says_who_and_how_long(tokens: PassthroughTokens) -> None:
    issued = tokens.issue(3600, NOW)
    claims = unverified(issued.token)
    assert claims == {
        "username": ADMIN,
        "vcluster": "passthrough",
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
        "jti": issued.id,
    }
    assert jwt.get_unverified_header(issued.token)["alg"] == "HS256"
    assert (issued.expires, len(issued.id)) == (1_700_003_600, 32)
    assert tokens.issue(3600, NOW).id != issued.id


def test_secrets_are_in_no_representation(tokens: PassthroughTokens) -> None:
    issued = tokens.issue(3600, NOW)
    shown = repr(issued) + repr(tokens) + repr(PassthroughConfig(username=ADMIN, password=PASSWORD))
    assert issued.token not in shown
    assert PASSWORD not in shown


def test_a_token_makes_its_bearer_the_admin_until_it_expires(tokens: PassthroughTokens) -> None:
    token = tokens.issue(60, NOW).token
    accepted = Accepted(Principal("passthrough", ADMIN, "PLAIN", expires=1_700_000_060, passthrough=True))
    assert tokens.check(ADMIN, token, NOW) == accepted
    assert tokens.check(ADMIN, token, NOW + 59) == accepted
    assert tokens.check(ADMIN, token, NOW + 60) == Refused("expired_token")


def test_gateways_of_one_configuration_take_each_others_tokens(tokens: PassthroughTokens) -> None:
    assert isinstance(make().check(ADMIN, tokens.issue(60, NOW).token, NOW), Accepted)


@pytest.mark.parametrize(("username", "password"), [(ADMIN, PASSWORD + "!"), ("root", PASSWORD)])
def test_another_configuration_ends_all_tokens(tokens: PassthroughTokens, username: str, password: str) -> None:
    token, other = tokens.issue(60, NOW).token, make(username, password)
    for name in (ADMIN, "root"):
        assert other.check(name, token, NOW) == Refused("invalid_credentials")


def forged(key: bytes | None, algorithm: str = "HS256", **changes: Any) -> str:
    """A token with these claims; None leaves one out."""
    claims = {"username": ADMIN, "vcluster": "passthrough", "iat": 1, "exp": 2_000_000_000, "jti": "x", **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm)  # type: ignore[arg-type]


def test_the_forger_has_the_right_form(tokens: PassthroughTokens) -> None:
    assert isinstance(tokens.check(ADMIN, forged(tokens._key), NOW), Accepted)


def segment(data: object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


FORGERIES: Final[dict[str, Callable[[bytes], str]]] = {
    "another key": lambda key: forged(key[::-1]),
    "the password as the key": lambda _: forged(PASSWORD.ljust(32).encode()),
    "another algorithm": lambda key: forged(key.ljust(64, b"x"), "HS512"),
    "no signature": lambda _: forged(None, "none"),
    "another user": lambda key: forged(key, username="root"),
    "another virtual cluster": lambda key: forged(key, vcluster="partner"),
    "no expiry": lambda key: forged(key, exp=None),
    "no id": lambda key: forged(key, jti=None),
    "no user": lambda key: forged(key, username=None),
    "no virtual cluster": lambda key: forged(key, vcluster=None),
    "cut short": lambda key: forged(key)[:-1],
    "the password": lambda _: PASSWORD,
    "nothing": lambda _: "",
    "no JWT": lambda _: "x.y.z",
    "a header as deep as it is long": lambda _: segment(b"[" * 3000) + ".e30.x",
    "a header that is a list": lambda _: segment([]) + "." + segment({}) + ".x",
    "too long": lambda key: forged(key, jti="x" * 4096),
    "nulls": lambda _: "\0.\0.\0",
    "not ASCII": lambda _: "☃.☃.☃",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_refused(tokens: PassthroughTokens, forge: Callable[[bytes], str]) -> None:
    assert tokens.check(ADMIN, forge(tokens._key), NOW) == Refused("invalid_credentials", FAILURE_TEXT)


def test_tokens_are_for_their_own_user_only(tokens: PassthroughTokens) -> None:
    assert tokens.check("johndoe", tokens.issue(60, NOW).token, NOW) == Refused("invalid_credentials")


@pytest.mark.parametrize(
    ("username", "password", "right"),
    [
        (ADMIN, PASSWORD, True),
        (ADMIN, PASSWORD + "x", False),
        (ADMIN, "", False),
        ("admin2", PASSWORD, False),
        ("", "", False),
        ("ädmin", "☃", False),
    ],
)
def test_the_login_for_tokens(tokens: PassthroughTokens, username: str, password: str, right: bool) -> None:
    assert tokens.is_admin(username, password) is right


def test_it_is_ready_once_it_has_its_key() -> None:
    tokens = PassthroughTokens(PassthroughConfig(username=ADMIN, password=PASSWORD))
    assert not tokens.ready
    tokens.derive_key()
    assert tokens.ready


# PLAIN with passwords and tokens


def sign_in(mechanism: Mechanism, username: str, password: str) -> Step:
    return mechanism.begin().step(build_plain(username, password), NOW)


def plain(tokens: PassthroughTokens, service_account: str = "johndoe") -> PlainWithTokens:
    registry = ZoneRegistry(GatewayMetrics())
    zone = Zone("partner", "cluster", service_account, (Alias("a", "b", Permission.READ),))
    registry.apply([zone], [Credential("c", "partner", "2030-01-01T00:00:00Z", hash_password("zone's password"))])
    return PlainWithTokens(Plain(registry), tokens)


def test_zones_passwords_and_tokens_sign_in_side_by_side(tokens: PassthroughTokens) -> None:
    partner = sign_in(plain(tokens), "johndoe", "zone's password")
    assert isinstance(partner, Accepted)
    assert (partner.principal.zone, partner.principal.passthrough) == ("partner", False)
    admin = sign_in(plain(tokens), ADMIN, tokens.issue(60, NOW).token)
    assert isinstance(admin, Accepted)
    assert (admin.principal.zone, admin.principal.passthrough) == ("passthrough", True)


def test_neither_signs_in_as_the_other(tokens: PassthroughTokens) -> None:
    token = tokens.issue(60, NOW).token
    for username, password in (
        (ADMIN, PASSWORD),
        (ADMIN, "zone's password"),
        ("johndoe", PASSWORD),
        ("johndoe", token),
    ):
        assert sign_in(plain(tokens), username, password) == Refused("invalid_credentials"), (username, password)


def test_a_zone_with_the_admins_name_signs_in_with_its_password_to_itself(tokens: PassthroughTokens) -> None:
    """Settings refuse that; should it happen all the same, a password never opens the cluster."""
    partner = sign_in(plain(tokens, ADMIN), ADMIN, "zone's password")
    assert isinstance(partner, Accepted)
    assert (partner.principal.zone, partner.principal.passthrough) == ("partner", False)
    assert sign_in(plain(tokens, ADMIN), ADMIN, PASSWORD) == Refused("invalid_credentials")


def test_what_is_no_plain_message_is_said_so(tokens: PassthroughTokens) -> None:
    assert plain(tokens).begin().step(b"nonsense", NOW) == Refused("malformed_token")


def test_only_plain_takes_tokens(tokens: PassthroughTokens) -> None:
    mechanism = plain(tokens)
    mechanisms = with_tokens({"PLAIN": mechanism, "OTHER": mechanism}, tokens)
    assert list(mechanisms) == ["PLAIN", "OTHER"]
    assert mechanisms["OTHER"] is mechanism
    assert isinstance(mechanisms["PLAIN"], PlainWithTokens)
