"""Zones over HTTP: what is answered, with which headers, and when it is refused."""

from typing import Any

import httpx
import pytest

from controlplane.zone_service import Status, Unavailable
from tests.unit.controlplane.api.conftest import RESOURCE, ZONE, ZONES, resource
from tests.unit.controlplane.api.memory_service import MemoryService

NO_ZONE = {"title": "No partner-zone with this technical id exists"}
NAME = "external-partner-zone"


async def put(client: httpx.AsyncClient, body: Any = RESOURCE, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.put(ZONES, json=body, headers=named)


async def test_an_empty_list(client: httpx.AsyncClient) -> None:
    response = await client.get(ZONES)
    assert (response.status_code, response.text) == (200, "[]")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


async def test_created_then_not_changed_then_updated(client: httpx.AsyncClient, service: MemoryService) -> None:
    response = await put(client)
    assert (response.status_code, response.json()["upsertResult"]) == (200, "Created")
    assert list(response.json()) == ["resource", "upsertResult"]
    assert response.headers["etag"] == '"1"'
    assert (await put(client)).json()["upsertResult"] == "NotChanged"
    response = await put(client, resource(displayName="Another"))
    assert (response.json()["upsertResult"], response.headers["etag"]) == ("Updated", '"2"')
    assert response.json()["resource"]["spec"]["displayName"] == "Another"
    assert (await client.get(ZONE)).json() == response.json()["resource"]


async def test_a_resource_with_everything_in_the_order_of_the_manifest(
    client: httpx.AsyncClient, service: MemoryService
) -> None:
    full = resource(
        description="Why this is shared",
        trafficControlPolicies={"maxProduceRate": 1, "maxConsumeRate": 2**63 - 1, "limitCommitOffset": 600},
        headers={
            "addOnProduce": [{"key": "x-partner", "value": "{{user}}", "overrideIfExists": True}],
            "removeOnConsume": [{"keyRegex": "^internal-.*"}],
        },
    )
    full["metadata"]["labels"] = {"team": "payments"}
    await put(client, full)
    service.set_status(NAME, Status.FAILED, "cluster partner1 is out of reach")
    response = await client.get(ZONE)
    assert response.headers["etag"] == '"1"'
    found = response.json()
    assert list(found) == ["apiVersion", "kind", "metadata", "spec"]
    assert list(found["metadata"]) == ["name", "labels", "id", "updatedAt", "status", "failedReason"]
    assert list(found["spec"]) == [
        "cluster",
        "displayName",
        "description",
        "url",
        "serviceAccount",
        "authenticationMode",
        "topics",
        "partner",
        "trafficControlPolicies",
        "headers",
    ]
    assert found["spec"].pop("authenticationMode") == {"type": "PLAIN", "serviceAccount": "johndoe"}
    assert found["spec"] == full["spec"]
    assert found["metadata"] == {
        "name": NAME,
        "labels": {"team": "payments"},
        "id": service.zone(NAME).id,
        "updatedAt": service.zone(NAME).updated_at,
        "status": "FAILED",
        "failedReason": "cluster partner1 is out of reach",
    }


async def test_what_is_not_set_is_left_out(client: httpx.AsyncClient) -> None:
    least = {
        "apiVersion": "console/v2",
        "kind": "PartnerZone",
        "metadata": {"name": "least", "labels": {}},
        "spec": {
            "cluster": "partner1",
            "displayName": None,
            "authenticationMode": {"type": "MTLS", "serviceAccount": "jane"},
            "topics": [{"name": "a", "backingTopic": "b"}],
            "partner": {"name": "Jane"},
            "trafficControlPolicies": {},
            "headers": {"addOnProduce": []},
        },
    }
    stored = (await put(client, least)).json()["resource"]
    assert stored["apiVersion"] == "v2"
    assert set(stored["metadata"]) == {"name", "id", "updatedAt", "status"}
    assert stored["spec"] == {
        "cluster": "partner1",
        "serviceAccount": "jane",
        "authenticationMode": {"type": "MTLS", "serviceAccount": "jane"},
        "topics": [{"name": "a", "backingTopic": "b", "permission": "READ"}],
        "partner": {"name": "Jane"},
    }


async def test_zones_are_listed_by_name_as_they_are(client: httpx.AsyncClient, service: MemoryService) -> None:
    for name in ("b", "a"):
        await put(client, resource(name, serviceAccount=name))
    service.set_status("a", Status.READY)
    listed = (await client.get(ZONES)).json()
    assert [(zone["metadata"]["name"], zone["metadata"]["status"]) for zone in listed] == [
        ("a", "READY"),
        ("b", "PENDING"),
    ]


async def test_what_get_has_answered_can_be_put(client: httpx.AsyncClient) -> None:
    await put(client)
    assert (await put(client, (await client.get(ZONE)).json())).json()["upsertResult"] == "NotChanged"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("GET", "/kafka-configuration")], ids=lambda each: each or "zone"
)
@pytest.mark.parametrize("name", ["nobody", "NOT%20A%20NAME", "%00", "%FF", "😀", "a%0Ab"])
async def test_a_zone_that_is_not_there(client: httpx.AsyncClient, method: str, path: str, name: str) -> None:
    response = await client.request(method, f"{ZONES}/{name}{path}")
    assert (response.status_code, response.json()) == (404, NO_ZONE)


async def test_deleted(client: httpx.AsyncClient, service: MemoryService) -> None:
    await put(client)
    response = await client.delete(ZONE)
    assert (response.status_code, response.content) == (200, b"")
    assert not service.zones()


async def test_the_configuration_is_a_text_without_the_password(client: httpx.AsyncClient) -> None:
    await put(client)
    response = await client.get(f"{ZONE}/kafka-configuration")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    lines = response.json().splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "bootstrap.servers",
        "security.protocol",
        "sasl.mechanism",
        "sasl.jaas.config",
    ]
    assert 'username="johndoe" password="***************";' in lines[-1]


# trials


async def test_a_trial_changes_nothing(client: httpx.AsyncClient, service: MemoryService) -> None:
    response = await client.put(ZONES, json=RESOURCE, params={"dryMode": "true"})
    assert (response.status_code, response.json()["upsertResult"]) == (200, "Created")
    assert "etag" not in response.headers
    assert not service.zones()
    response = await client.put(ZONES, json=RESOURCE, params={"dryMode": "false"})
    assert (response.json()["upsertResult"], len(service.zones())) == ("Created", 1)


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("dryMode=yes", "dryMode: 'yes' is not a flag; write true or false"),
        ("dryMode=", "dryMode: '' is not a flag; write true or false"),
        ("dryMode=True", "dryMode: 'True' is not a flag; write true or false"),
        ("dryMode=true&dryMode=false", "dryMode: is there twice; send it once"),
        ("drymode=true", "'drymode' is not a parameter of this call; did you mean dryMode?"),
        ("force=true", "'force' is not a parameter of this call; known here: dryMode"),
    ],
)
async def test_a_trial_that_is_misspelt_is_not_done_in_earnest(
    client: httpx.AsyncClient, service: MemoryService, query: str, cause: str
) -> None:
    response = await client.put(f"{ZONES}?{query}", json=RESOURCE)
    assert (response.status_code, response.json()) == (400, {"title": "The request is not valid", "cause": cause})
    assert not service.zones()


async def test_reading_takes_no_parameters(client: httpx.AsyncClient) -> None:
    response = await client.get(ZONES, params={"name": "x"})
    assert (response.status_code, response.json()["cause"]) == (
        400,
        "'name' is not a parameter of this call; known here: none",
    )


# versions

STALE = "The resource is not the one that the request is about any more"


@pytest.mark.parametrize("tags", ['"2"', '"1", "2"', "*", ' W/"7" , "2"'])
async def test_if_match_that_matches(client: httpx.AsyncClient, tags: str) -> None:
    await put(client)
    await put(client, resource(displayName="2"))
    response = await put(client, resource(displayName="3"), if_match=tags)
    assert (response.status_code, response.headers["etag"]) == (200, '"3"')


@pytest.mark.parametrize("tags", ['"1"', 'W/"2"', '"02"', '"x"', '""', '"-1"', '"99999999999999999999999"'])
async def test_if_match_that_does_not(client: httpx.AsyncClient, service: MemoryService, tags: str) -> None:
    await put(client)
    await put(client, resource(displayName="2"))
    before = service.zone(NAME)
    cause = f"zone {NAME!r} has version 2, and If-Match wants {tags}; get it again, and apply your change"
    for response in (
        await put(client, resource(displayName="3"), if_match=tags),
        await client.delete(ZONE, headers={"if-match": tags}),
    ):
        assert (response.status_code, response.json()) == (412, {"title": STALE, "cause": cause})
    assert service.zone(NAME) == before


@pytest.mark.parametrize(
    "tags", ["1", '"1', "", "**", '"1" "2"', '"1",', "W/1", 'w/"1"', '"a b"', '"' + "1" * 2000 + '"']
)
async def test_if_match_that_cannot_be_read(client: httpx.AsyncClient, service: MemoryService, tags: str) -> None:
    await put(client)
    for response in (await put(client, if_match=tags), await client.delete(ZONE, headers={"if-match": tags})):
        assert (response.status_code, response.json()) == (
            400,
            {
                "title": "The request is not valid",
                "cause": 'If-Match: write the ETag of an earlier answer, in its quotes, for example "3"; or *',
            },
        )
    assert service.zones()


@pytest.mark.parametrize("tags", ['"1"', "*"])
async def test_if_match_never_creates(client: httpx.AsyncClient, service: MemoryService, tags: str) -> None:
    response = await put(client, if_match=tags)
    assert (response.status_code, response.json()["cause"]) == (
        412,
        f"there is no zone {NAME!r}, and If-Match wants one",
    )
    assert not service.zones()
    assert (await client.delete(ZONE, headers={"if-match": tags})).status_code == 404


async def test_delete_with_its_version(client: httpx.AsyncClient, service: MemoryService) -> None:
    etag = (await put(client)).headers["etag"]
    assert (await client.delete(ZONE, headers={"if-match": etag})).status_code == 200
    assert not service.zones()


# what the service refuses


async def test_a_service_account_belongs_to_one_zone(client: httpx.AsyncClient) -> None:
    await put(client)
    response = await put(client, resource("another"))
    assert (response.status_code, response.json()) == (
        409,
        {
            "title": "The request does not match one of the business rules",
            "cause": "spec.serviceAccount: 'johndoe' belongs to zone 'external-partner-zone' already; "
            "a service account belongs to one zone only",
        },
    )


async def test_zones_of_files_are_changed_there(client: httpx.AsyncClient, service: MemoryService) -> None:
    await put(client)
    service.from_files = True
    for response in (await put(client, resource(displayName="x")), await client.delete(ZONE)):
        assert (response.status_code, response.json()["cause"]) == (
            409,
            "zones come from the folder /zones; change them there",
        )
    assert (await client.get(ZONE)).status_code == 200


async def test_while_the_state_is_out_of_reach(client: httpx.AsyncClient, service: MemoryService) -> None:
    await put(client)
    service.problem = "no broker answers"
    for response in (await put(client, resource(displayName="x")), await client.delete(ZONE)):
        assert (response.status_code, response.json()) == (
            503,
            {
                "title": "The desired state is out of reach",
                "cause": "nothing was written: no broker answers; try again",
            },
        )
        assert response.headers["retry-after"] == "5"
    assert (await client.get(ZONE)).status_code == 200


async def test_a_mistake_of_ours_is_logged_and_not_told(
    client: httpx.AsyncClient, service: MemoryService, caplog: pytest.LogCaptureFixture
) -> None:
    service.failure = RuntimeError("internal secret")
    response = await put(client)
    assert (response.status_code, response.json()) == (500, {"title": "An unexpected error occurred in the server"})
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("zonegate.api", "ERROR")
    assert "internal secret" in caplog.text


@pytest.mark.parametrize("name", ["zones", "api_key"])
async def test_before_what_is_stored_was_read_nothing_is_said_of_it(
    client: httpx.AsyncClient, service: MemoryService, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def unread(*_: str) -> None:
        raise Unavailable("it was not read yet")

    monkeypatch.setattr(service, name, unread)
    response = await client.get(ZONES)
    assert (response.status_code, response.json()["cause"]) == (503, "it was not read yet")
    assert "retry-after" in response.headers
