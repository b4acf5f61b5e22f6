"""YAML with lines: what is read, what is refused, and where a message points."""

from pathlib import Path

import pytest

from controlplane.problems import ConfigurationError
from controlplane.yaml_source import parse_documents, read_text, single_document


def data_of(text: str) -> object:
    return single_document(text, "x.yaml").data


def errors_of(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        single_document(text, "x.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("0712", "0712"),
        ("1_000", "1_000"),
        ("2025-01-27", "2025-01-27"),
        ("07827 837 177", "07827 837 177"),
        ("=", "="),
        ("9" * 5000, "9" * 5000),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("~", None),
        ("null", None),
        ("", None),
        ("'12'", "12"),
        ('"null"', "null"),
        ("|\n  a\n  b", "a\nb"),
    ],
)
def test_scalars_mean_what_they_look_like(scalar: str, value: object) -> None:
    assert data_of(f"field: {scalar}") == {"field": value}


def test_every_value_knows_its_line() -> None:
    document = single_document("# comment\na:\n  b: 1\n  c:\n  - x\n  - y: 2\n", "x.yaml")

    assert document.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}}
    assert document.line(("a",)) == 2
    assert document.line(("a", "b")) == 3
    assert document.line(("a", "c", 0)) == 5
    assert document.line(("a", "c", 1, "y")) == 6


def test_a_missing_value_has_the_line_of_what_is_around_it() -> None:
    document = single_document("a:\n  b:\n    c: 1\n", "x.yaml")

    assert document.line(("a", "b", "missing")) == 2
    assert document.line(("missing",)) == 1
    assert str(document.problem(("a", "list", 3, "x"), "is wrong")) == "x.yaml:1: a.list[3].x: is wrong"


def test_several_documents_without_the_empty_ones() -> None:
    documents = parse_documents("---\na: 1\n---\n---\nb: 2\n", "x.yaml")

    assert [document.data for document in documents] == [{"a": 1}, {"b": 2}]
    assert [document.line(()) for document in documents] == [2, 5]


def test_all_duplicate_keys_are_refused_at_once() -> None:
    assert errors_of("a: 1\nb: {c: 1}\na: 2\nd:\n  e: 1\n  e: 2\n") == [
        "x.yaml:3: a: is given twice, first in line 1; keep one",
        "x.yaml:6: d.e: is given twice, first in line 5; keep one",
    ]


def test_syntax_errors_name_the_line() -> None:
    assert errors_of("a: 1\nb: [1, 2\nc: 3\n") == [
        "x.yaml:3: is not valid YAML: did not find expected ',' or ']', while parsing a flow sequence"
    ]
    assert errors_of("a: 1\n\tb: 2\n")[0].startswith("x.yaml:2: is not valid YAML: ")
    assert errors_of("a: \x00")[0].startswith("x.yaml: is not valid YAML: ")


def test_anchors_and_tags_are_refused() -> None:
    assert errors_of("a: &x {k: 1}\nb: *x\n") == [
        "x.yaml:2: b: anchors and aliases (&name, *name) are not supported; write the value out"
    ]
    assert errors_of("a: &x\n  <<: *x\n")[0].startswith("x.yaml:2: a.<<: anchors and aliases")
    assert errors_of("a: !!python/name:os.system x\n") == [
        "x.yaml:1: a: the tag tag:yaml.org,2002:python/name:os.system is not supported; "
        "write plain text, a number, true or false"
    ]


def test_a_field_name_must_be_text() -> None:
    assert errors_of("? [a, b]\n: 1\n") == ["x.yaml:1: a field's name must be plain text"]


def test_a_second_document_is_refused_where_one_belongs() -> None:
    assert errors_of("a: 1\n---\nb: 2\n") == ["x.yaml:3: this file holds one document; remove this one"]


def test_absurd_nesting_is_an_error_and_not_a_crash() -> None:
    assert errors_of("[" * 5000 + "]" * 5000) == ["x.yaml: is nested too deeply to be a configuration"]


def test_unreadable_files(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9\n")

    with pytest.raises(ConfigurationError, match=r"^latin.yaml: is not UTF-8 text$"):
        read_text(latin, "latin.yaml")
    with pytest.raises(ConfigurationError, match=r"^none.yaml: cannot be read: No such file or directory$"):
        read_text(tmp_path / "none.yaml", "none.yaml")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert read_text(tmp_path / "bom.yaml", "bom.yaml") == "a: 1\n"
