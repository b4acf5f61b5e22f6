"""Credentials are told of when they expire: once, in their order, and not those that had expired before."""

from policies.credentials import Credential
from policies.expiries import Expiries


def credential(name: str, expires: float | None) -> Credential:
    return Credential(name, "zone", "2030-01-01T00:00:00Z", "hash", expires)


def test_each_is_told_of_once() -> None:
    late, soon, never, before = (credential(*each) for each in (("l", 30.0), ("s", 20.0), ("n", None), ("b", 10.0)))
    expiries = Expiries([late, soon, never, before], 10.0)
    assert expiries.passed(19.9) == []
    assert expiries.passed(20.0) == [soon]
    assert expiries.passed(20.0) == []
    assert expiries.passed(99.0) == [late]


def test_several_at_once() -> None:
    second, first = credential("2", 2.0), credential("1", 1.0)
    assert Expiries([second, first], 0.0).passed(5.0) == [first, second]
