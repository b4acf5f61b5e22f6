"""Records that can't be read, and what is said of them."""

import json

import pytest

from controlplane.state.records import FORMAT, BadRecord, NewerFormat, read_record
from tests.unit.controlplane.state.edits import credential, edit
from tests.unit.controlplane.state.memory import gateway_record


@pytest.mark.parametrize(
    "record", [edit("a", 1), credential("c", "a"), gateway_record(5), gateway_record(5, worker=3, refused={"a": "why"})]
)
def test_what_is_written_is_read(record: object) -> None:
    assert read_record(record.key, record.value()) == record  # type: ignore[attr-defined]


def test_what_later_versions_add_is_left_out_of_account() -> None:
    record = gateway_record(5)
    value = {**json.loads(record.value()), "colour": "green"}
    assert read_record(record.key, json.dumps(value).encode()) == record
    value["format"] = FORMAT + 1
    with pytest.raises(NewerFormat):
        read_record(record.key, json.dumps(value).encode())


@pytest.mark.parametrize(
    "value", [{"hash": ["s3cret"]}, {"scram": "s3cret", "hash": 5}, {"hash": None}, {"zoneId": {"s3cret": 1}}]
)
def test_what_a_password_is_verified_by_is_not_repeated(value: dict[str, object]) -> None:
    record = credential("c", "a")
    with pytest.raises(BadRecord) as caught:
        read_record(record.key, json.dumps({**json.loads(record.value()), **value}).encode())
    assert "s3cret" not in str(caught.value)


def test_nothing_of_it_is_shown() -> None:
    record = credential("c", "a")
    assert record.password_hash not in repr(record)
