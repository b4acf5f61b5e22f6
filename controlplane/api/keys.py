"""The calls about keys to this API, under the paths and names that the vendor's client uses."""

from collections.abc import Sequence
from typing import Final

from fastapi.responses import JSONResponse, Response

from controlplane.api.audit import KEY_CREATE, KEY_DELETE, ApiAudit, Change
from controlplane.api.bodies import read_json, validated
from controlplane.api.documents import AdminToken, CreateAdminToken, CreatedAdminToken
from controlplane.api.operations import UNAVAILABLE, Answer, Body, Call, Operation
from controlplane.http_requests import HttpProblem
from controlplane.zone_service import NotFound, ZoneService

COLLECTION: Final = "/token/v1/admin_tokens"
ONE: Final = "/token/v1/{token-id}"
TAG: Final = "tokens"

NO_KEY: Final = "No API key with this id exists"


class Keys:
    """Answers them."""

    def __init__(self, service: ZoneService, audit: ApiAudit) -> None:
        self._service = service
        self._audit = audit

    async def list_all(self, call: Call) -> Response:
        call.query()
        keys = self._service.api_keys()
        return JSONResponse([AdminToken(id=key.id, name=key.name, created_at=key.created).json_value() for key in keys])

    async def create(self, call: Call) -> Response:
        call.query()
        name = validated(CreateAdminToken, await read_json(call.request), "API key").name
        change = Change(KEY_CREATE, changed_key=name)
        with self._audit.change(call.peer, call.key, change):
            view, key = await self._service.create_api_key(name)
            change.changed_key_id = view.id
        answer = CreatedAdminToken(id=view.id, name=view.name, created_at=view.created, token=key)
        return JSONResponse(answer.json_value(), 201)

    async def delete(self, call: Call) -> Response:
        call.query()
        key_id = call.path("token-id")
        change = Change(KEY_DELETE, changed_key_id=key_id)
        change.changed_key = next((key.name for key in self._service.api_keys() if key.id == key_id), None)
        try:
            with self._audit.change(call.peer, call.key, change):
                await self._service.delete_api_key(key_id)
        except NotFound as error:
            raise HttpProblem(404, NO_KEY, cause=str(error)) from None
        return Response(status_code=204)


def operations(service: ZoneService, audit: ApiAudit) -> Sequence[Operation]:
    keys = Keys(service, audit)
    return (
        Operation(
            "GET",
            COLLECTION,
            "list-admin-tokens",
            "List the API keys",
            "Without the keys themselves, of which nothing but hashes are kept.",
            TAG,
            keys.list_all,
            Answer("The API keys", list_of=AdminToken),
            {},
            run=("listAdminToken", "List the API keys"),
        ),
        Operation(
            "POST",
            COLLECTION,
            "create-an-admin-token",
            "Make an API key",
            "It opens this whole API, and is shown this once.",
            TAG,
            keys.create,
            Answer("The new API key", 201, model=CreatedAdminToken),
            {
                409: "API keys can't be changed here",
                413: "The body has more than 1 MiB",
                415: "The body is not JSON",
                503: UNAVAILABLE,
            },
            body=Body(CreateAdminToken, {"name": "deployment"}),
            run=("createAdminToken", "Make an API key"),
        ),
        Operation(
            "DELETE",
            ONE,
            "delete-a-token",
            "Delete an API key",
            "It opens nothing any more.",
            TAG,
            keys.delete,
            Answer("It is deleted", 204),
            {404: "There is no such API key", 409: "API keys can't be changed here", 503: UNAVAILABLE},
            run=("deleteToken", "Delete an API key"),
        ),
    )
