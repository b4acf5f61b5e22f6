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


def test_an_edit_counts_at_once() -> None:
    first, second, third = credential("1", 10.0), credential("2", 20.0), credential("3", None)
    expiries = Expiries([first, second, third], 0.0)
    sooner, again = credential("2", 5.0), credential("3", 15.0)
    expiries.apply([second, third], [sooner, again], 0.0)
    assert expiries.passed(12.0) == [sooner, first]
    expiries.apply([again], [], 12.0)
    assert expiries.passed(99.0) == []
    expiries.apply([], [credential("4", 98.0)], 99.0)
    assert expiries.passed(99.0) == [], "it had expired before"
