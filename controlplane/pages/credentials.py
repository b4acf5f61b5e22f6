"""The pages of a zone's passwords: made, shown once with all that a partner needs, and revoked."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from controlplane.api.audit import TOKEN_CREATE, TOKEN_REVOKE, Change
from controlplane.client_snippets import client_snippets
from controlplane.credential_file import DEFAULT_VALIDITY
from controlplane.http_requests import HttpProblem
from controlplane.pages.desk import Desk, Page, redirect
from controlplane.pages.visits import Visit, zone_address
from controlplane.pages.zone_list import shown_name
from controlplane.times import format_unix_time, parse_duration
from controlplane.zone_service import IssuedCredential, NotFound

VALIDITIES: Final = {"30d": "in 30 days", "90d": "in 90 days", "365d": "in a year", "never": "never"}
"""What forms offer."""

DEFAULT: Final = f"{DEFAULT_VALIDITY.days}d"


def validity_of(text: str) -> timedelta | None:
    """What a form says of it. Raises HttpProblem for what no form of ours has sent."""
    if text not in VALIDITIES:
        raise HttpProblem(400, "Bad Request", msg="Choose when the password is to expire.")
    return parse_duration(text)


class Credentials:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def pages(self) -> Sequence[Page]:
        return (
            Page("GET", "/zones/{zone}/credentials/new", self.ask),
            Page("POST", "/zones/{zone}/credentials", self.generate),
            Page("GET", "/zones/{zone}/credentials/{credential}/revoke", self.ask_to_revoke),
            Page("POST", "/zones/{zone}/credentials/{credential}/revoke", self.revoke),
        )

    async def ask(self, visit: Visit) -> Response:
        view = self._desk.service.zone(visit.zone)
        values = {"name": visit.zone, "shown": shown_name(view), "validities": VALIDITIES, "default": DEFAULT}
        return self._desk.page(visit, "generate-credentials.html", 200, **values)

    async def generate(self, visit: Visit) -> Response:
        return await self.issue(visit, visit.zone, validity_of(visit.form.get("validity")), created=False)

    async def issue(self, visit: Visit, zone: str, validity: timedelta | None, created: bool) -> Response:
        """A new password, and the one page that shows it; `created`: the zone is new, too."""
        change = Change(TOKEN_CREATE, zone=zone)
        with self._desk.audit.change(visit.peer, visit.caller, change):
            issued = await self._desk.service.generate(zone, validity)
            change.credential_id = issued.credential.id
        return self._show(visit, zone, issued, created)

    def _show(self, visit: Visit, zone: str, issued: IssuedCredential, created: bool) -> Response:
        service = self._desk.service
        view, access = service.zone(zone), service.access(zone)
        expires = issued.credential.expires
        return self._desk.page(
            visit,
            "credentials.html",
            name=zone,
            shown=shown_name(view),
            created=created,
            access=access,
            account=view.resource.spec.service_account,
            password=issued.password,
            expires=format_unix_time(expires) if expires is not None else None,
            snippets=client_snippets(access, issued.password, view.resource.spec.topics[0].name)
            if access is not None
            else (),
        )

    async def ask_to_revoke(self, visit: Visit) -> Response:
        credential = visit.path("credential")
        found = next((each for each in self._desk.service.credentials(visit.zone) if each.id == credential), None)
        if found is None:
            raise NotFound(f"zone {visit.zone!r} has no credential {credential!r}; it may have been revoked already")
        return self._desk.page(visit, "revoke-credential.html", name=visit.zone, credential=found)

    async def revoke(self, visit: Visit) -> Response:
        credential = visit.path("credential")
        change = Change(TOKEN_REVOKE, zone=visit.zone, credential_id=credential)
        with self._desk.audit.change(visit.peer, visit.caller, change):
            await self._desk.service.revoke(credential, visit.zone)
        return redirect(f"{zone_address(visit.zone)}#credentials")
