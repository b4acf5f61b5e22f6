"""Positions of several aliases in one committed offset, against the simplest model: a dict of alias to position."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.positions import MARK, MAX_METADATA_BYTES, NONE, Position, fold, unfold, without

ALIASES = ("orders", "twin", "third")
POSITIONS = st.builds(
    Position,
    offset=st.integers(0, 2**63 - 1),
    leader_epoch=st.integers(-1, 2**31 - 1),
    metadata=st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.just(MARK + "{}"),
)
COMMITS = st.dictionaries(st.sampled_from(ALIASES), POSITIONS, min_size=1)


def stored_after(steps: list[dict[str, Position]], first: Position = NONE) -> Position:
    stored = first
    for commits in steps:
        folded = fold(stored, commits, ALIASES)
        assert folded is not None
        stored = folded
    return stored


@settings(max_examples=300, deadline=None)
@given(st.lists(COMMITS, min_size=1, max_size=6))
def test_each_alias_gets_back_what_it_committed_last(steps: list[dict[str, Position]]) -> None:
    model: dict[str, Position] = {}
    for commits in steps:
        model |= commits
    stored = stored_after(steps)
    for alias in ALIASES:
        assert unfold(stored, alias) == model.get(alias, NONE)
    assert stored.offset == min(position.offset for position in model.values())
    lowest = [position for position in model.values() if position.offset == stored.offset]
    assert stored.leader_epoch in {position.leader_epoch for position in lowest}


@settings(max_examples=100, deadline=None)
@given(POSITIONS.filter(lambda position: not position.metadata.startswith(MARK)), COMMITS)
def test_what_was_there_before_the_second_alias_is_everybody_s(before: Position, commits: dict[str, Position]) -> None:
    """The operator reset the group, or the zone gained an alias: nobody starts anew."""
    assert {unfold(before, alias) for alias in ALIASES} == {before}
    model = dict.fromkeys(ALIASES, before) | commits
    stored = stored_after([commits], before)
    assert {alias: unfold(stored, alias) for alias in ALIASES} == model
    assert stored.offset == min(position.offset for position in model.values())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(COMMITS, max_size=4),
    st.just(NONE) | POSITIONS.filter(lambda position: not position.metadata.startswith(MARK)),
    st.sets(st.sampled_from(ALIASES), min_size=1),
)
def test_what_is_deleted_is_gone_and_the_rest_stays(
    steps: list[dict[str, Position]], first: Position, removed: set[str]
) -> None:
    stored = stored_after(steps, first)
    rest = without(stored, removed, ALIASES)
    expected = {alias: NONE if alias in removed else unfold(stored, alias) for alias in ALIASES}
    assert {alias: unfold(rest, alias) for alias in ALIASES} == expected
    assert (rest == NONE) == (set(expected.values()) == {NONE})


def test_nothing_stored_is_no_position() -> None:
    assert unfold(NONE, "orders") == NONE
    stored = stored_after([{"orders": Position(5)}])
    assert unfold(stored, "twin") == NONE
    assert unfold(stored, "orders") == Position(5)


def test_an_alias_that_the_zone_has_no_more_does_not_hold_the_others_back() -> None:
    stored = stored_after([{"orders": Position(5), "twin": Position(90)}])
    folded = fold(stored, {"twin": Position(91)}, ("twin",))
    assert folded is not None
    assert folded.offset == 91
    assert unfold(folded, "orders") == NONE


def test_what_is_stored_is_stable_and_readable() -> None:
    """Later versions of the gateway must read it, and an operator may."""
    stored = stored_after([{"twin": Position(7, 3, "m\u00e9"), "orders": Position(9)}])
    assert stored == Position(7, 3, 'zonegate:1:{"orders":[9,-1,""],"twin":[7,3,"m\u00e9"]}')


def test_metadata_that_grows_beyond_the_broker_s_limit_is_refused() -> None:
    room = MAX_METADATA_BYTES - len(fold(NONE, {"orders": Position(1)}, ALIASES).metadata)  # type: ignore[union-attr]
    fits = fold(NONE, {"orders": Position(1, -1, "x" * room)}, ALIASES)
    assert fits is not None
    assert len(fits.metadata) == MAX_METADATA_BYTES
    assert fold(NONE, {"orders": Position(1, -1, "x" * (room + 1))}, ALIASES) is None
    assert fold(NONE, {"orders": Position(1, -1, "\u00e9" * (room // 2 + 1))}, ALIASES) is None


@pytest.mark.parametrize(
    "metadata",
    [
        MARK,
        MARK + "{",
        MARK + "[]",
        MARK + "7",
        MARK + "null",
        MARK + '{"orders":7}',
        MARK + '{"orders":[7]}',
        MARK + '{"orders":[7,8,9,10]}',
        MARK + '{"orders":["x",1,""]}',
        MARK + '{"orders":[null,1,""]}',
        MARK + '{"orders":[Infinity,1,""]}',
        MARK + '{"orders":[9223372036854775808,1,""]}',
        MARK + '{"orders":[7,2147483648,""]}',
        MARK + '{"orders":[7,8,"\\ud800"]}',  # half a character, which no response can carry
        MARK + "[" * 1000,
        "zonegate:2:{}",
        "a client's own",
    ],
)
def test_metadata_that_only_looks_like_ours_is_a_position_of_every_alias(metadata: str) -> None:
    stored = Position(40, 2, metadata)
    assert unfold(stored, "orders") == stored
    folded = fold(stored, {"twin": Position(41)}, ALIASES)
    assert folded is not None
    assert unfold(folded, "orders") == stored
    assert folded.offset == 40


@given(st.text(max_size=60))
def test_any_metadata_can_be_unfolded(metadata: str) -> None:
    for text in (metadata, MARK + metadata):
        assert isinstance(unfold(Position(3, 1, text), "orders"), Position)


def test_a_large_old_metadata_does_not_refuse_commits_for_ever() -> None:
    stored = Position(40, 2, "m" * 3000)
    folded = fold(stored, {"twin": Position(41, 2, "mine")}, ALIASES)
    assert folded is not None
    assert unfold(folded, "twin") == Position(41, 2, "mine")
    assert unfold(folded, "orders") == Position(40, 2)
