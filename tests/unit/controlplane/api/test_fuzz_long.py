"""Requests made up from the OpenAPI document: whatever is sent, the answer is one that the document describes."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from controlplane.api import authentication
from controlplane.api.app import create_api
from controlplane.partner_zone import PartnerZone
from tests.unit.controlplane.api.conftest import RESOURCE, Lines
from tests.unit.controlplane.api.memory_service import KEY, MemoryService

load_all_checks()

CONFIG = SchemathesisConfig()
CONFIG.projects.default.generation.update(modes=list(schemathesis.GenerationMode))

Case = schemathesis.Case[Any]

DOCUMENT = "/public/docs/docs.yaml"


def make_app() -> Any:
    """With a zone of the name that the document's examples have."""
    service = MemoryService()
    asyncio.run(service.upsert(PartnerZone.model_validate(RESOURCE)))
    return create_api(service, Lines())


plain = schemathesis.openapi.from_asgi(DOCUMENT, make_app(), config=CONFIG)
prefixed = schemathesis.openapi.from_asgi("/api" + DOCUMENT, make_app(), config=CONFIG)


@schemathesis.auth()
class Key:
    """Brings the key along, and lets the checks leave it out."""

    def get(self, _case: Case, _context: schemathesis.AuthContext) -> str:
        return KEY

    def set(self, case: Case, data: str, _context: schemathesis.AuthContext) -> None:
        case.headers["authorization"] = f"Bearer {data}"


def unfitting(case: Case) -> list[Any]:
    """A schema can't say which zones there are, nor that names are unique in a list; and any request may have headers
    that nobody knows."""
    unknown_header = "x-schemathesis-unknown-property" in case.headers
    names = ["positive_data_acceptance", *(["negative_data_rejection"] if unknown_header else [])]
    return [CHECKS.get_one(name) for name in names]


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "FAILURE_DELAY_SECONDS", 0)


@plain.parametrize()
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call(case: Case) -> None:
    case.call_and_validate(excluded_checks=unfitting(case))


@prefixed.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_behind_the_prefix(case: Case) -> None:
    case.call_and_validate(base_url="http://testserver/api", excluded_checks=unfitting(case))
