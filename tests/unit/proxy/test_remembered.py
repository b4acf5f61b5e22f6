"""What clients have said is remembered up to a number of entries and of bytes."""

from proxy.ownership import EVERY_GENERATION, SoleOwners
from proxy.remembered import MAX_BYTES, Remembered
from proxy.subscriptions import Subscription, Subscriptions


def memory(entries: int, size: int) -> Remembered[str, int]:
    return Remembered(entries, lambda key, value: len(key) + value, size)


def test_the_least_recently_used_is_forgotten_first() -> None:
    known = memory(2, 1000)
    known.put("a", 1)
    known.put("b", 1)
    assert known.find("a") == 1
    known.put("c", 1)
    assert [known.find(key) for key in "abc"] == [1, None, 1]


def test_so_many_bytes() -> None:
    known = memory(100, 20)
    known.put("a", 9)
    known.put("b", 9)
    assert known.bytes == 20
    known.put("b", 5)
    assert (known.bytes, len(known)) == (16, 2)
    known.put("c", 9)
    assert [known.find(key) for key in "abc"] == [None, 5, 9]
    known.forget("b")
    known.forget("b")
    assert known.bytes == 10
    known.put("d", 50)
    assert (known.bytes, len(known)) == (0, 0), "what is more than all of it isn't remembered"


def test_ids_of_any_length_fill_no_memory() -> None:
    subscriptions, owners = Subscriptions(), SoleOwners()
    for number in range(2000):
        group = f"{number:032000}"
        subscriptions.remember(group, "m", Subscription(("topic",), "x.*"))
        owners.remember(group, "m", EVERY_GENERATION)
    for known in (subscriptions._members, owners._members):
        assert 1000 < len(known) < 2000
        assert known.bytes <= MAX_BYTES
    assert subscriptions.find(f"{1999:032000}", "m") == Subscription(("topic",), "x.*")
    assert owners.covers(f"{1999:032000}", "m", 7)
    assert not owners.covers(f"{0:032000}", "m", 7)
