"""The turnstile: one at a time for each key, in order, whoever leaves in between."""

import sys

from proxy.flow import Begin, Turnstile


def work(begun: list[str], name: str) -> Begin:
    def begin() -> bool:
        begun.append(name)
        return True

    return begin


def test_one_at_a_time_and_in_order() -> None:
    turnstile = Turnstile()
    begun: list[str] = []
    works = {name: work(begun, name) for name in ("first", "second", "other")}
    turnstile.enter("g", works["first"])
    turnstile.enter("g", works["second"])
    turnstile.enter("h", works["other"])
    assert begun == ["first", "other"]
    turnstile.leave("g", works["first"])
    assert begun == ["first", "other", "second"]


def test_who_leaves_before_its_turn_is_not_called() -> None:
    turnstile = Turnstile()
    begun: list[str] = []
    works = [work(begun, str(n)) for n in range(3)]
    for begin in works:
        turnstile.enter("g", begin)
    turnstile.leave("g", works[1])
    turnstile.leave("g", works[0])
    assert begun == ["0", "2"]


def test_thousands_who_decline_are_passed_over_without_nesting() -> None:
    turnstile = Turnstile()
    begun: list[str] = []

    def first() -> bool:
        return True

    def decline() -> bool:
        return False

    def last() -> bool:
        begun.append("last")
        return True

    turnstile.enter("g", first)
    for _ in range(sys.getrecursionlimit() * 2):
        turnstile.enter("g", decline)
    turnstile.enter("g", last)
    turnstile.leave("g", first)
    assert begun == ["last"]
    turnstile.leave("g", last)
    turnstile.enter("g", first)
    turnstile.leave("g", first)
