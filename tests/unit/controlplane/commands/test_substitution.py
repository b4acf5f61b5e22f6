"""Environment variables in manifests."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.commands.substitution import substitute
from controlplane.yaml_source import parse_documents

NAMES = st.text(string.ascii_uppercase + "_", min_size=1, max_size=6)
PLAIN = st.text(st.characters(exclude_characters="$#", exclude_categories=["Cs"]))
VALUES = st.text(string.ascii_letters + string.digits, min_size=1)


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("a: ${A}", {"A": "1"}, "a: 1"),
        ("a: x${A}y${A}", {"A": "1"}, "a: x1y1"),
        ("a: ${A:-d}", {}, "a: d"),
        ("a: ${A:-d}", {"A": ""}, "a: d"),
        ("a: ${A:-d}", {"A": "1"}, "a: 1"),
        ("a: ${A:-b:-c}", {}, "a: b:-c"),
        ("a: $${A}", {"A": "1"}, "a: ${A}"),
        ("a: $A {{user}} ${} $", {"A": "1"}, "a: $A {{user}} ${} $"),
        ("a: '${A}'", {"A": "${B}"}, "a: '${B}'"),
        ("a: 1 # ${A} $${A}\n# ${A}\nb: ${B}", {"B": "2"}, "a: 1 # ${A} $${A}\n# ${A}\nb: 2"),
        ("a: 'x # ${A}'", {"A": "1"}, "a: 'x # 1'"),
        ("a: x#${A}", {"A": "1"}, "a: x#1"),
        ("a: |\n  # ${A}\n# ${A}\n", {"A": "1"}, "a: |\n  # 1\n# ${A}\n"),
        ("a: {b: ${A}, c: [${A}]} # ${A}", {"A": "1"}, "a: {b: 1, c: [1]} # ${A}"),
        ("# ${A}\r\na: ${A}\r\n", {"A": "1"}, "# ${A}\r\na: 1\r\n"),
    ],
)
def test_what_is_put_in(text: str, environment: dict[str, str], expected: str) -> None:
    substituted = substitute(text, environment)

    assert (substituted.text, substituted.missing) == (expected, {})


def test_what_is_missing() -> None:
    substituted = substitute("a: ${A}\nb: ${B} ${A:-} # ${C}\nc: ${D}\n", {"B": "", "D": "d"})

    assert substituted.missing == {"A": 1, "B": 2}
    assert substituted.text == "a: \nb:   # ${C}\nc: d\n"


def test_lines_are_those_of_the_file() -> None:
    substituted = substitute("a: ${A}\nb: 1\nc: ${A}\nd: [\n", {"A": "\n  - 1\n  - 2"})

    assert substituted.origins == [1, 1, 1, 2, 3, 3, 3, 4, 5]
    (document,) = parse_documents(substituted.text.replace("d: [\n", ""), "f", substituted.origins)
    assert (document.line(("b",)), document.line(("a", 1)), document.line(("c", 0))) == (2, 1, 3)


@settings(deadline=None)
@given(PLAIN)
def test_a_text_without_references_stays_as_it_is(text: str) -> None:
    substituted = substitute(text, {})

    assert (substituted.text, substituted.missing) == (text, {})


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES, st.booleans())))
def test_every_mention_outside_comments_is_replaced(entries: list[tuple[str, str, bool]]) -> None:
    environment = {name: value for name, value, _ in entries}
    text = "".join(
        f"k{number}: ${{{name}}}" + (f" # ${{{name}}}\n" if comment else "\n")
        for number, (name, _, comment) in enumerate(entries)
    )
    expected = "".join(
        f"k{number}: {environment[name]}" + (f" # ${{{name}}}\n" if comment else "\n")
        for number, (name, _, comment) in enumerate(entries)
    )

    substituted = substitute(text, environment)

    assert (substituted.text, substituted.missing) == (expected, {})


@settings(deadline=None)
@given(st.text("ab:-#${}|>'\"[],& \n", max_size=60), st.dictionaries(st.sampled_from("ab"), st.text("x\n\r")))
def test_any_text_has_an_origin_for_each_line(text: str, environment: dict[str, str]) -> None:
    substituted = substitute(text, environment)

    assert len(substituted.origins) >= substituted.text.count("\n") + 1
    assert substituted.origins == sorted(substituted.origins)
    assert substituted.origins[-1] == text.count("\n") + 1
