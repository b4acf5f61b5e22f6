"""The calls about passwords of zones."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from fastapi.responses import JSONResponse, Response

from controlplane.api.audit import TOKEN_CREATE, TOKEN_REVOKE, ApiAudit, Change
from controlplane.api.bodies import refuse_body
from controlplane.api.documents import Credential, NewCredential
from controlplane.api.errors import NO_ZONE, invalid, no_zone
from controlplane.api.operations import (
    CLI_TAG,
    MAX_SHOWN,
    NO_SUCH_ZONE,
    UNAVAILABLE,
    Answer,
    Call,
    Operation,
    Parameter,
)
from controlplane.api.zones import zone_of
from controlplane.credential_file import DEFAULT_VALIDITY
from controlplane.http_requests import HttpProblem
from controlplane.times import format_unix_time, parse_duration
from controlplane.zone_service import CredentialView, IssuedCredential, NotFound, ZoneService, ZoneView

ALL: Final = "/public/zonegate/v1/credentials"
"""Not among the calls of a zone, since a zone may have any name."""
OF_ZONE: Final = "/public/partner-zone/v2/{partner-zone-name}/credentials"
GENERATE: Final = "/public/partner-zone/v2/{partner-zone-name}/generate-credentials"
TAG: Final = "credentials"

NO_CREDENTIAL: Final = "No credential with this id exists"

EXPIRES_IN: Final = Parameter(
    "expiresIn",
    "How long it is to be valid: a number and s, m, h or d; or never",
    {"type": "string", "default": f"{DEFAULT_VALIDITY.days}d", "examples": ["90d", "12h", "30m", "45s", "never"]}
    | {"pattern": "^([1-9][0-9]{0,8}[smhd]|never)$"},
)


class Credentials:
    """Answers them."""

    def __init__(self, service: ZoneService, audit: ApiAudit) -> None:
        self._service = service
        self._audit = audit

    async def generate(self, call: Call) -> Response:
        """As the vendor's client wants it: the password alone."""
        _, issued = await self._issue(call)
        return JSONResponse(issued.password)

    async def create(self, call: Call) -> Response:
        zone, issued = await self._issue(call)
        credential = issued.credential
        answer = NewCredential(
            id=credential.id,
            zone=credential.zone,
            created=credential.created,
            expires=format_unix_time(credential.expires) if credential.expires is not None else None,
            password=issued.password,
            username=zone.resource.spec.service_account or "",
        )
        return JSONResponse(answer.json_value(), 201)

    async def list_all(self, call: Call) -> Response:
        call.query()
        return JSONResponse([_shown(view) for view in self._service.credentials()])

    async def list_of_zone(self, call: Call) -> Response:
        call.query()
        zone = zone_of(call, self._service).resource.metadata.name
        return JSONResponse([_shown(view) for view in self._service.credentials(zone)])

    async def revoke(self, call: Call) -> Response:
        call.query()
        return await self._revoke(call, None)

    async def revoke_of_zone(self, call: Call) -> Response:
        call.query()
        return await self._revoke(call, zone_of(call, self._service).resource.metadata.name)

    async def _issue(self, call: Call) -> tuple[ZoneView, IssuedCredential]:
        validity = _validity(call.query(EXPIRES_IN.name))
        await refuse_body(call.request)
        name = call.path("partner-zone-name")
        change = Change(TOKEN_CREATE, zone=name)
        try:
            with self._audit.change(call.peer, call.key, change):
                zone = self._service.zone(name)
                issued = await self._service.generate(name, validity)
                change.credential_id = issued.credential.id
        except NotFound:
            raise no_zone() from None
        return zone, issued

    async def _revoke(self, call: Call, zone: str | None) -> Response:
        credential = call.path("credential-id")
        change = Change(TOKEN_REVOKE, zone=zone, credential_id=credential)
        try:
            with self._audit.change(call.peer, call.key, change):
                change.zone = (await self._service.revoke(credential, zone)).zone
        except NotFound as error:
            raise HttpProblem(404, NO_CREDENTIAL, cause=str(error)) from None
        return Response()


def _validity(query: dict[str, str]) -> timedelta | None:
    text = query.get(EXPIRES_IN.name)
    if text is None:
        return DEFAULT_VALIDITY
    try:
        return parse_duration(text[:MAX_SHOWN])
    except ValueError as error:
        raise invalid(f"{EXPIRES_IN.name}: {error}") from None


def _shown(view: CredentialView) -> dict[str, object]:
    return Credential(
        id=view.id,
        zone=view.zone,
        created=view.created,
        expires=view.expires,
        last_used=view.last_used,
        state=view.state,
    ).json_value()


_MISSING: Final = {404: {"title": NO_ZONE}}
_NO_PASSWORDS: Final = "The zone's clients don't sign in with passwords, or credentials can't be changed here"


def operations(service: ZoneService, audit: ApiAudit) -> Sequence[Operation]:
    credentials = Credentials(service, audit)
    return (*_making(credentials), *_listing(credentials), *_revoking(credentials))


def _making(credentials: Credentials) -> Sequence[Operation]:
    problems = {404: NO_SUCH_ZONE, 409: _NO_PASSWORDS, 503: UNAVAILABLE}
    return (
        Operation(
            "POST",
            GENERATE,
            "generate-credentials",
            "Make a password",
            "A new password for the zone's service account, which is shown this once. Others stay valid, so that a "
            "partner can rotate.",
            CLI_TAG,
            credentials.generate,
            Answer("The password", schema={"type": "string"}, example="kq3fUeVxJm1hPz0cW8sYt5rBnA7dLgOiE"),
            problems,
            parameters=(EXPIRES_IN,),
            run=("partnerZoneGenerateCredentials", "generate a password for a partner zone service account"),
            problem_examples=_MISSING,
        ),
        Operation(
            "POST",
            OF_ZONE,
            "create-credential",
            "Make a password, and tell its id",
            "The same, with what is needed to list and revoke it.",
            TAG,
            credentials.create,
            Answer("The new credential", 201, model=NewCredential),
            problems,
            parameters=(EXPIRES_IN,),
            problem_examples=_MISSING,
        ),
    )


def _listing(credentials: Credentials) -> Sequence[Operation]:
    return (
        Operation(
            "GET",
            ALL,
            "list-credentials",
            "List all credentials",
            "Of all zones. Passwords are kept nowhere.",
            TAG,
            credentials.list_all,
            Answer("The credentials", list_of=Credential),
            {},
        ),
        Operation(
            "GET",
            OF_ZONE,
            "list-credentials-of-a-partner-zone",
            "List a zone's credentials",
            "Passwords are kept nowhere.",
            TAG,
            credentials.list_of_zone,
            Answer("The credentials", list_of=Credential),
            {404: NO_SUCH_ZONE},
            problem_examples=_MISSING,
        ),
    )


def _revoking(credentials: Credentials) -> Sequence[Operation]:
    problems = {404: "There is no such credential", 409: "Credentials can't be changed here", 503: UNAVAILABLE}
    return (
        Operation(
            "DELETE",
            ALL + "/{credential-id}",
            "revoke-credential",
            "Revoke a credential",
            "Sessions that were opened with it end within a second.",
            TAG,
            credentials.revoke,
            Answer("It is revoked; the body is empty"),
            problems,
        ),
        Operation(
            "DELETE",
            OF_ZONE + "/{credential-id}",
            "revoke-credential-of-a-partner-zone",
            "Revoke a credential of a zone",
            "Only where it is this zone's. Sessions that were opened with it end within a second.",
            TAG,
            credentials.revoke_of_zone,
            Answer("It is revoked; the body is empty"),
            problems | {404: "There is no such zone, or it has no such credential"},
        ),
    )
