"""Requests made up from the OpenAPI document: whatever is sent, the answer is one that the document describes."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS, load_all_checks

from controlplane.api import authentication
from controlplane.api.app import create_api
from controlplane.partner_zone import PartnerZone
from tests.unit.controlplane.api.conftest import BEARER, RESOURCE, Lines
from tests.unit.controlplane.api.memory_service import MemoryService

load_all_checks()

UNFITTING = ("positive_data_acceptance",)
"""A schema can't say that names are unique, or which zones there are."""

ALL_CHECKS = [check for check in CHECKS.get_all() if check.__name__ not in UNFITTING]
EXAMPLES = 40


async def _nothing() -> None: ...


def make_app() -> FastAPI:
    """With a zone whose name the document's examples have."""
    service = MemoryService()
    coroutine = service.upsert(PartnerZone.model_validate(RESOURCE))
    with pytest.raises(StopIteration):
        coroutine.send(None)  # nothing in it waits
    return create_api(service, Lines())
