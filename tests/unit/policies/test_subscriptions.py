"""What a subscription means in a zone, and the memo from which any gateway can tell what the client said."""

import re
from base64 import urlsafe_b64encode

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.subscriptions import MAX_REGEX, MEMO_MARK, InvalidPatternError, Words, meaning, recall, words
from policies.zone import Alias, Permission, Zone, ZoneRules

RULES = ZoneRules(
    Zone(
        "partner",
        "cluster",
        "johndoe",
        (
            Alias("topic-a", "backing-1", Permission.WRITE),
            Alias("topic-b", "backing-1", Permission.READ),
            Alias("topic-c", "backing-0", Permission.READ),
            Alias("other", "backing-2", Permission.READ),
        ),
    )
)


@pytest.mark.parametrize(
    ("said", "aliases", "topics", "shared"),
    [
        (Words(), (), (), ()),
        (Words(("other", "topic-c")), ("other", "topic-c"), ("backing-0", "backing-2"), ()),
        (Words(("topic-b",)), ("topic-b",), ("backing-1",), ("backing-1",)),
        (Words(("topic-a", "topic-b")), ("topic-a", "topic-b"), ("backing-1",), ("backing-1",)),
        (Words((), "topic-[bc]"), ("topic-b", "topic-c"), ("backing-0", "backing-1"), ("backing-1",)),
        (Words(("other",), "topic-c|x"), ("other", "topic-c"), ("backing-0", "backing-2"), ()),
        (Words(("backing-2", "gone")), (), (), ()),
        (Words((), "topic"), (), (), ()),
        (Words((), "backing-.*"), (), (), ()),
        (Words((), "^(topic-c|other)$"), ("other", "topic-c"), ("backing-0", "backing-2"), ()),
    ],
)
def test_what_is_meant(said: Words, aliases: tuple[str, ...], topics: tuple[str, ...], shared: tuple[str, ...]) -> None:
    meant = meaning(RULES, said)
    assert (meant.aliases, meant.topics, meant.shared) == (aliases, topics, shared)
    assert bool(meant.memo) == bool(said.regex or shared)
    if meant.memo:
        assert recall(meant.memo) == said


def test_which_aliases_of_a_topic_are_meant() -> None:
    meant = meaning(RULES, Words(("topic-b", "topic-c")))
    assert [meant.aliases_of(RULES, topic) for topic in ("backing-0", "backing-1", "backing-2", "elsewhere")] == [
        ("topic-c",),
        ("topic-b",),
        (),
        (),
    ]


@pytest.mark.parametrize("regex", ["(", "(?=a)", r"\1", "(?:a{1000}){1000}", "a" * (MAX_REGEX + 1), r"\pN{1000}"])
def test_what_is_no_regular_expression(regex: str) -> None:
    with pytest.raises(InvalidPatternError):
        meaning(RULES, Words((), regex))


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"))), st.text(st.characters(codec="utf-8")))
def test_a_memo_tells_the_words_and_matches_no_topic(names: list[str], regex: str) -> None:
    said = words(names, regex)
    try:
        memo = meaning(RULES, said).memo
    except InvalidPatternError:
        return
    if memo:
        assert recall(memo) == said
        assert re.fullmatch(r"zonegate:1:[A-Za-z0-9_-]*", memo)
        assert not re2.fullmatch(memo, memo.replace(":", "-"))


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "topic-.*",
        "zonegate:1",
        "zonegate:2:W10",
        *(MEMO_MARK + rest for rest in ("", "!", "W10", "e30", "MQ")),
    ],
)
def test_what_is_no_memo(stored: str | None) -> None:
    assert recall(stored) is None


HALF_A_CHARACTER = "\\ud800"
"""As JSON spells it; no message can carry it, and RE2 doesn't take it."""


@pytest.mark.parametrize(
    "text",
    [
        "[1,2]",
        '[["a"],1]',
        '[[1],""]',
        '["a","b"]',
        "null",
        '[["a"],"b","c"]',
        "[" * 9000,
        f'[["a"],"{HALF_A_CHARACTER}"]',
        f'[["{HALF_A_CHARACTER}"],""]',
    ],
)
def test_a_memo_that_somebody_else_wrote(text: str) -> None:
    assert recall(MEMO_MARK + urlsafe_b64encode(text.encode()).decode().rstrip("=")) is None
