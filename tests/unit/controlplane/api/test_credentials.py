"""Passwords over HTTP: made, listed, revoked."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from controlplane.partner_zone import PartnerZone
from controlplane.times import parse_time
from policies.credentials import verify_password
from tests.unit.controlplane.api.conftest import RESOURCE, resource
from tests.unit.controlplane.api.memory_service import MemoryService

NAME = "external-partner-zone"
ALL = "/public/zonegate/v1/credentials"
OF_ZONE = f"/public/partner-zone/v2/{NAME}/credentials"
GENERATE = f"/public/partner-zone/v2/{NAME}/generate-credentials"
NO_ZONE = {"title": "No partner-zone with this technical id exists"}


@pytest.fixture(autouse=True)
async def zone(service: MemoryService) -> None:
    await service.upsert(PartnerZone.model_validate(RESOURCE))
    await service.upsert(PartnerZone.model_validate(resource("other", serviceAccount="jane")))


async def test_a_password_as_one_text(client: httpx.AsyncClient, service: MemoryService) -> None:
    response = await client.post(GENERATE)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    (stored,) = service.credentials(NAME)
    credential = service._credentials[stored.id][0]
    assert verify_password(response.json(), credential.password_hash)
    assert credential.expires is not None
    assert abs(credential.expires - (datetime.now(UTC) + timedelta(days=90)).timestamp()) < 5


async def test_a_credential_with_its_id(client: httpx.AsyncClient, service: MemoryService) -> None:
    response = await client.post(OF_ZONE)
    assert response.status_code == 201
    made = response.json()
    assert list(made) == ["id", "zone", "created", "expires", "password", "username"]
    assert (made["zone"], made["username"]) == (NAME, "johndoe")
    assert parse_time(made["expires"]) - parse_time(made["created"]) == timedelta(days=90)
    assert verify_password(made["password"], service._credentials[made["id"]][0].password_hash)


@pytest.mark.parametrize("path", [GENERATE, OF_ZONE])
@pytest.mark.parametrize(
    ("text", "validity"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("never", None),
    ],
)
async def test_how_long_it_is_valid(
    client: httpx.AsyncClient, service: MemoryService, path: str, text: str, validity: timedelta | None
) -> None:
    assert (await client.post(path, params={"expiresIn": text})).is_success
    (stored,) = service.credentials(NAME)
    if validity is None:
        assert stored.expires is None
    else:
        assert stored.expires is not None
        assert parse_time(stored.expires) - parse_time(stored.created) == validity


BAD_QUERIES = {
    "expiresIn=soon": "expiresIn: 'soon' is not a duration; write for example 90d, 12h, 30m, 45s, or never",
    "expiresIn=": "expiresIn: '' is not a duration; write for example 90d, 12h, 30m, 45s, or never",
    "expiresIn=0d": "expiresIn: '0d' is not a duration; write for example 90d, 12h, 30m, 45s, or never",
    "expiresIn=-1d": "expiresIn: '-1d' is not a duration; write for example 90d, 12h, 30m, 45s, or never",
    "expiresIn=99999d": "expiresIn: 99999d is too long; use at most 36500d, or never",
    "expiresIn=1d&expiresIn=never": "expiresIn: is there twice; send it once",
    "expires_in=1d": "'expires_in' is not a parameter of this call; did you mean expiresIn?",
}


@pytest.mark.parametrize("path", [GENERATE, OF_ZONE])
@pytest.mark.parametrize(("query", "cause"), BAD_QUERIES.items())
async def test_parameters_that_do_not_fit(
    client: httpx.AsyncClient, service: MemoryService, path: str, query: str, cause: str
) -> None:
    response = await client.post(f"{path}?{query}")
    assert (response.status_code, response.json()) == (400, {"title": "The request is not valid", "cause": cause})
    assert not service.credentials()


@pytest.mark.parametrize("path", [GENERATE, OF_ZONE])
@pytest.mark.parametrize("body", ["{}", '{"expiresIn": "1d"}', "x", "nullnull", " " * 17])
async def test_a_body_is_refused(client: httpx.AsyncClient, service: MemoryService, path: str, body: str) -> None:
    response = await client.post(path, content=body)
    assert (response.status_code, response.json()["cause"]) == (400, "this call takes no body; send none")
    assert not service.credentials()


@pytest.mark.parametrize("body", ["", "null"])
async def test_a_body_that_says_nothing(client: httpx.AsyncClient, body: str) -> None:
    assert (await client.post(GENERATE, content=body)).status_code == 200


async def test_lists_without_passwords(client: httpx.AsyncClient, service: MemoryService) -> None:
    first = (await client.post(OF_ZONE)).json()
    second = (await client.post(OF_ZONE.replace(NAME, "other"), params={"expiresIn": "never"})).json()
    service.set_used(first["id"], "2026-11-21T09:12:40Z")
    shown_first = {name: first[name] for name in ("id", "zone", "created", "expires")} | {
        "lastUsed": "2026-11-21T09:12:40Z",
        "state": "valid",
    }
    shown_second = {name: second[name] for name in ("id", "zone", "created")} | {
        "expires": None,
        "lastUsed": None,
        "state": "valid",
    }
    assert (await client.get(ALL)).json() == [shown_first, shown_second]
    listed = await client.get(OF_ZONE)
    assert listed.json() == [shown_first]
    assert list(listed.json()[0]) == ["id", "zone", "created", "expires", "lastUsed", "state"]


@pytest.mark.parametrize("path", [ALL, OF_ZONE])
async def test_revoked(client: httpx.AsyncClient, service: MemoryService, path: str) -> None:
    made = (await client.post(OF_ZONE)).json()
    response = await client.delete(f"{path}/{made['id']}")
    assert (response.status_code, response.content) == (200, b"")
    assert not service.credentials()
    response = await client.delete(f"{path}/{made['id']}")
    assert (response.status_code, response.json()) == (
        404,
        {"title": "No credential with this id exists", "cause": f"there is no credential {made['id']!r}"},
    )


async def test_a_credential_of_another_zone_is_not_there(client: httpx.AsyncClient, service: MemoryService) -> None:
    made = (await client.post(OF_ZONE)).json()
    response = await client.delete(f"{OF_ZONE.replace(NAME, 'other')}/{made['id']}")
    assert response.status_code == 404
    assert len(service.credentials()) == 1


async def test_a_zone_that_is_not_there(client: httpx.AsyncClient) -> None:
    for method, path in (("POST", GENERATE), ("POST", OF_ZONE), ("GET", OF_ZONE), ("DELETE", f"{OF_ZONE}/x")):
        response = await client.request(method, path.replace(NAME, "nobody"))
        assert (response.status_code, response.json()) == (404, NO_ZONE)


async def test_a_zone_without_passwords(client: httpx.AsyncClient, service: MemoryService) -> None:
    mode = {"type": "MTLS", "serviceAccount": "m"}
    changed = resource("m", serviceAccount=None, authenticationMode=mode)
    await service.upsert(PartnerZone.model_validate(changed))
    response = await client.post(GENERATE.replace(NAME, "m"))
    assert (response.status_code, response.json()) == (
        409,
        {
            "title": "The request does not match one of the business rules",
            "cause": "zone 'm' has no passwords: its clients sign in with certificates "
            "(a listener with security_protocol SSL)",
        },
    )


async def test_while_the_state_is_out_of_reach(client: httpx.AsyncClient, service: MemoryService) -> None:
    made = (await client.post(OF_ZONE)).json()
    service.problem = "no broker answers"
    for method, path in (("POST", GENERATE), ("POST", OF_ZONE), ("DELETE", f"{ALL}/{made['id']}")):
        response = await client.request(method, path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert (await client.get(ALL)).status_code == 200
