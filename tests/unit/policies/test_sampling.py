"""Sampling: what is told at once, what is told later, and that the counts add up whatever happens."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from policies.sampling import Sample, Sampler

WINDOW = 10.0

Told = Sample[str]


def sampler(max_kinds: int = 100, max_kinds_per_group: int = 100) -> Sampler[str, str]:
    return Sampler(WINDOW, max_kinds, max_kinds_per_group)


def test_one_alone_is_told_at_once() -> None:
    assert sampler().note("zone", "orders", "e1", 3, 5.0) == Sample("e1", 3, 5.0, mixed=False)


def test_what_follows_is_counted_and_told_when_the_window_has_passed() -> None:
    tested = sampler()
    tested.note("zone", "orders", "e1", 1, 0.0)
    assert tested.note("zone", "orders", "e2", 2, 1.0) is None
    assert tested.note("zone", "orders", "e3", 4, 2.0) is None
    assert list(tested.due(9.9)) == []
    assert list(tested.due(10.0)) == [Sample("e3", 6, 1.0, mixed=False)]
    assert list(tested.due(19.9)) == []
    assert tested.note("zone", "orders", "e4", 1, 19.9) is None
    assert list(tested.due(20.0)) == [Sample("e4", 1, 19.9, mixed=False)]


def test_nobody_needs_to_ask_while_a_flood_goes_on() -> None:
    tested = sampler()
    told = [tested.note("zone", "orders", "e", 1, second / 10) for second in range(301)]
    assert [(sample.since, sample.count) for sample in told if sample is not None] == [
        (0.0, 1),
        (0.1, 100),
        (10.1, 100),
        (20.1, 100),
    ]


def test_a_kind_that_was_quiet_for_a_window_is_new_again() -> None:
    tested = sampler(max_kinds=1)
    tested.note("zone", "orders", "e1", 1, 0.0)
    assert list(tested.due(10.0)) == []
    assert tested.note("zone", "stock", "e2", 1, 10.0) == Sample("e2", 1, 10.0, mixed=False)


def test_kinds_beyond_the_bound_are_told_of_their_group() -> None:
    tested = sampler(max_kinds=3, max_kinds_per_group=2)
    for name in ("a", "b"):
        told = tested.note("one", name, name, 1, 0.0)
        assert told is not None
        assert not told.mixed
    assert tested.note("one", "c", "c", 1, 0.0) == Sample("c", 1, 0.0, mixed=True)
    assert tested.note("one", "d", "d", 1, 0.0) is None
    assert tested.note("one", "a", "a", 1, 0.0) is None, "a known kind keeps its place"
    assert tested.note("two", "e", "e", 5, 0.0) == Sample("e", 5, 0.0, mixed=True), "all places are taken"
    assert sorted((sample.latest, sample.count, sample.mixed) for sample in tested.due(10.0)) == [
        ("a", 1, False),
        ("d", 1, True),
    ]


def test_the_rest_is_told_at_the_end_and_once() -> None:
    tested = sampler()
    for name in ("a", "a", "b", "b", "c"):
        tested.note("zone", name, name, 1, 0.0)
    assert [(sample.latest, sample.count) for sample in tested.rest(1.0)] == [("a", 1), ("b", 1)]
    assert list(tested.rest(1.0)) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["one", "two"]), st.sampled_from("abcdef"), st.integers(1, 5)),
        st.floats(0.0, 25.0),
        st.none(),
    ),
    max_size=80,
)


@given(STEPS, st.integers(1, 8), st.integers(1, 4))
def test_counts_add_up_and_no_kind_is_told_twice_in_a_window(
    steps: list[tuple[str, str, int] | float | None], max_kinds: int, max_kinds_per_group: int
) -> None:
    """Events, pauses, and questions for what is due, in any order; the model is a plain sum."""
    tested: Sampler[str, tuple[str, str]] = Sampler(WINDOW, max_kinds, max_kinds_per_group)
    noted, told, asked, now = Counter[str](), Counter[str](), Counter[tuple[str, str]](), 0.0
    exact = Counter[tuple[str, str]]()
    last: dict[tuple[str, str | None], float] = {}

    def tell(sample: Sample[tuple[str, str]]) -> None:
        group, kind = sample.latest
        told[group] += sample.count
        if not sample.mixed:
            exact[sample.latest] += sample.count
        name = group, None if sample.mixed else kind
        assert now - last.get(name, float("-inf")) >= WINDOW, f"{name} is told twice within a window"
        assert sample.since <= now
        last[name] = now

    for step in steps:
        if step is None:
            for sample in tested.due(now):
                tell(sample)
        elif isinstance(step, float):
            now += step
        else:
            group, kind, count = step
            noted[group] += count
            asked[group, kind] += count
            at_once = tested.note(group, kind, (group, kind), count, now)
            if at_once is not None:
                tell(at_once)
    last.clear()  # the end doesn't wait for windows
    for sample in tested.rest(now):
        tell(sample)
    assert told == noted
    assert all(count <= asked[name] for name, count in exact.items()), "nobody is blamed for what others did"
