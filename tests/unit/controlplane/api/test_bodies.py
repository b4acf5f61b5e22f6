"""Bodies are read strictly: nothing is taken for something else than it says."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from controlplane.api.bodies import MAX_BODY_BYTES, MAX_DEPTH
from tests.unit.controlplane.api.conftest import RESOURCE, ZONES
from tests.unit.controlplane.api.memory_service import MemoryService

TEXT = json.dumps(RESOURCE)

UNREADABLE = {
    "nothing": (b"", "the body is empty; send JSON"),
    "space": (b" \n", "the body is empty; send JSON"),
    "no JSON": (b"{", "the body is not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
    "YAML": (b"kind: PartnerZone", "the body is not JSON: Expecting value (line 1, column 1)"),
    "two values": (b"{} {}", "the body is not JSON: Extra data (line 1, column 4)"),
    "no UTF-8": (b'{"kind": "\xff"}', "the body is not UTF-8"),
    "UTF-16": (TEXT.encode("utf-16"), "the body is not UTF-8"),
    "NaN": (b'{"kind": NaN}', "the body is not JSON: NaN is not a number of it"),
    "infinity": (b'{"kind": -Infinity}', "the body is not JSON: -Infinity is not a number of it"),
    "one name twice": (
        TEXT.replace('"cluster"', '"cluster": "a", "cluster"').encode(),
        "the body is ambiguous: 'cluster' is in one object twice",
    ),
    "one name twice, escaped": (
        b'{"kind": "a", "\\u006bind": "b"}',
        "the body is ambiguous: 'kind' is in one object twice",
    ),
    "half a character": (b'{"kind": "\\ud800"}', "the body holds half of a surrogate pair, which is no character"),
    "half a character in a name": (b'{"\\udc00": 1}', "the body holds half of a surrogate pair, which is no character"),
    "deep": (b"[" * 33 + b"]" * 33, f"the body is nested deeper than {MAX_DEPTH} levels"),
    "very deep": (b"[" * 100_000, f"the body is nested deeper than {MAX_DEPTH} levels"),
    "very deep objects": (b'{"a":' * 100_000, f"the body is nested deeper than {MAX_DEPTH} levels"),
    "a very long number": (b"9" * 5000, "the body is not JSON: a number has too many digits"),
    "a list": (b"[]", "the body is no PartnerZone; send an object with apiVersion, kind, metadata, spec"),
    "null": (b"null", "the body is no PartnerZone; send an object with apiVersion, kind, metadata, spec"),
    "text": (b'"x"', "the body is no PartnerZone; send an object with apiVersion, kind, metadata, spec"),
}


@pytest.mark.parametrize(("body", "cause"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_body_that_cannot_be_read(
    client: httpx.AsyncClient, service: MemoryService, body: bytes, cause: str
) -> None:
    response = await client.put(ZONES, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (400, {"title": "The request is not valid", "cause": cause})
    assert not service.zones()


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "application/json",
        "Application/JSON; charset=UTF-8",
        "text/plain; charset=utf-8",
        'text/plain;charset="utf-8"',
    ],
)
async def test_media_types_that_are_taken(client: httpx.AsyncClient, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type is not None else {}
    assert (await client.put(ZONES, content=TEXT, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/yaml"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-encoding": "gzip"},
    ],
)
async def test_media_types_that_are_not(
    client: httpx.AsyncClient, service: MemoryService, headers: dict[str, str]
) -> None:
    response = await client.put(ZONES, content=TEXT, headers=headers)
    assert response.status_code == 415
    assert set(response.json()) == {"title", "cause"}
    assert not service.zones()


async def test_a_body_of_the_limit_and_one_beyond(client: httpx.AsyncClient, service: MemoryService) -> None:
    body = TEXT.ljust(MAX_BODY_BYTES)
    assert (await client.put(ZONES, content=body)).status_code == 200
    too_large = (413, {"title": "The request is too large", "cause": "the body has more than 1048576 bytes"})
    response = await client.put(ZONES, content=body + " ")
    assert (response.status_code, response.json()) == too_large


async def test_a_body_without_an_announced_length_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    response = await client.put(ZONES, content=endless())
    assert response.status_code == 413
    assert sent <= MAX_BODY_BYTES + 2 * 65536


async def test_a_body_is_not_looked_at_without_a_key(stranger: httpx.AsyncClient) -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""  # type: ignore[unreachable]

    assert (await stranger.put(ZONES, content=never())).status_code == 401
