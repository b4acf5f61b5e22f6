"""The OpenAPI document: complete, and as the vendor's client needs it."""

from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml
from fastapi import FastAPI

from controlplane.api.operations import route_path
from controlplane.partner_zone import PartnerZone
from tests.unit.controlplane.api.conftest import RESOURCE, ZONES

GENERATE = "/public/partner-zone/v2/{partner-zone-name}/generate-credentials"


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, item in document["paths"].items() for method, each in item.items()]


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = {"components": document["components"], **schema}
    jsonschema_rs.Draft202012Validator(whole).validate(value)


async def test_served_without_a_key(stranger: httpx.AsyncClient, document: dict[str, Any]) -> None:
    response = await stranger.get("/public/docs/docs.yaml")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(response.text) == document
    assert "&id" not in response.text


def test_it_has_every_call_and_no_other(app: FastAPI, document: dict[str, Any]) -> None:
    described = {(route_path(path), method.upper()) for path, method, _ in operations(document)}
    routes = {(route.path, method) for route in app.routes for method in route.methods}  # type: ignore[attr-defined]
    assert described == routes
    assert len(routes) == 19
    assert not [path for path in document["paths"] if path.startswith("/api")]


def test_every_call_says_what_it_is_and_what_it_answers(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    for _, _, operation in operations(document):
        assert operation["summary"]
        assert operation["description"]
        assert len(operation["tags"]) == 1
        expected = {"400", "500"} | ({"401", "429"} if operation["security"] else set())
        assert expected <= set(operation["responses"])
        for status, answer in operation["responses"].items():
            assert answer["description"]
            if status >= "400":
                assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ApiProblem"}


def test_no_key_is_needed_for_these_alone(document: dict[str, Any]) -> None:
    assert [path for path, _, operation in operations(document) if not operation["security"]] == [
        "/health/live",
        "/health/ready",
        "/versions",
        "/public/docs/docs.yaml",
    ]
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    found = 0
    for _, _, operation in operations(document):
        for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in holder.get("content", {}).values():
                if "example" in content:
                    check(document, content["schema"], content["example"])
                    found += 1
    assert found > 80
    for schema in document["components"]["schemas"].values():
        for each in schema.get("properties", {}).values():
            for example in each.get("examples", ()):
                check(document, each, example)


def test_the_schema_of_a_zone(document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/PartnerZone"}
    check(document, schema, RESOURCE)
    schemas = document["components"]["schemas"]
    assert schemas["PartnerZone"]["additionalProperties"] is False
    for model in ("Metadata", "Spec", "SharedTopic", "TrafficControlPolicies", "AddedHeader", "RemovedHeader"):
        for field, each in schemas[model]["properties"].items():
            told = each.get("description") or field in ("key",)
            assert told, (model, field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ["", ".", "..", "a b", "a" * 250, "ä"]),
        ("backingTopic", ["", "__consumer_offsets", "_zonegate", "a/b"]),
        ("permission", ["read", ""]),
    ],
)
def test_the_schema_refuses_what_the_api_refuses(document: dict[str, Any], field: str, value: list[str]) -> None:
    for each in value:
        topic = {"name": "a", "backingTopic": "b", field: each}
        with pytest.raises(jsonschema_rs.ValidationError):
            check(document, {"$ref": "#/components/schemas/SharedTopic"}, topic)


def test_what_the_vendors_client_looks_for(document: dict[str, Any]) -> None:
    item = document["paths"][ZONES]
    assert item["put"]["tags"] == item["get"]["tags"] == ["cli_partner-zone_console_v2_16"]
    PartnerZone.model_validate(item["put"]["requestBody"]["content"]["application/json"]["example"])
    generate = document["paths"][GENERATE]["post"]
    assert generate["x-cdk-run-name"] == "partnerZoneGenerateCredentials"
    assert generate["x-cdk-run-doc"]
    assert [(each["name"], each["in"], each["required"]) for each in generate["parameters"]] == [
        ("partner-zone-name", "path", True),
        ("expiresIn", "query", False),
    ]
    runs = {operation.get("x-cdk-run-name") for _, _, operation in operations(document)} - {None}
    assert runs == {"partnerZoneGenerateCredentials", "listAdminToken", "createAdminToken", "deleteToken"}
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert isinstance(parameter["required"], bool)  # the client dereferences it
