"""The REST API, as the commands call it. Imported only when one does: httpx takes as long to import as all else."""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from controlplane.commands.api_error import ApiError
from controlplane.commands.output import printable

Data = dict[str, Any]
"""A JSON object of the API."""

ZONES = "/api/public/console/v2/partner-zone"
CREDENTIALS = "/api/public/partner-zone/v2"
ALL_CREDENTIALS = "/api/public/zonegate/v1/credentials"
GATEWAYS = "/api/public/zonegate/v1/gateways"
TOKENS = "/api/token/v1"

TIMEOUT_SECONDS = 30
"""A write returns when it is in force in the console's own view, which takes a round trip to Kafka."""


def new_transport(verify: ssl.SSLContext) -> httpx.BaseTransport | None:
    """What carries the requests; None is httpx's own. Tests put a server in memory here."""
    return None


class Api:
    """One server's calls. `key_source` says where the API key was found, for when it is refused."""

    def __init__(self, url: str, key: str, key_source: str, tls: ssl.SSLContext) -> None:
        self.url = url
        self._key_source = key_source
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_SECONDS,
            verify=tls,
            transport=new_transport(tls),
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def zones(self) -> list[Data]:
        return self._objects("GET", ZONES)

    def zone(self, name: str) -> Data:
        return self._object("GET", _path(ZONES, name))

    def find_zone(self, name: str) -> Data | None:
        """None where there is no such zone."""
        try:
            return self.zone(name)
        except ApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def put_zone(self, resource: object, dry_run: bool) -> Data:
        """`{"resource": …, "upsertResult": "Created|Updated|NotChanged"}`"""
        return self._object("PUT", ZONES, {"dryMode": "true" if dry_run else "false"}, resource)

    def delete_zone(self, name: str) -> None:
        self._call("DELETE", _path(ZONES, name))

    def credentials(self, zone: str | None) -> list[Data]:
        path = ALL_CREDENTIALS if zone is None else _path(CREDENTIALS, zone, "credentials")
        return self._objects("GET", path)

    def generate_credential(self, zone: str, expires_in: str) -> Data:
        return self._object("POST", _path(CREDENTIALS, zone, "credentials"), {"expiresIn": expires_in})

    def revoke_credential(self, credential: str) -> None:
        self._call("DELETE", _path(ALL_CREDENTIALS, credential))

    def gateways(self) -> Data:
        """`{"state": …, "gateways": […]}`"""
        return self._object("GET", GATEWAYS)

    def api_keys(self) -> list[Data]:
        return self._objects("GET", f"{TOKENS}/admin_tokens")

    def create_api_key(self, name: str) -> Data:
        return self._object("POST", f"{TOKENS}/admin_tokens", body={"name": name})

    def delete_api_key(self, key_id: str) -> None:
        self._call("DELETE", _path(TOKENS, key_id))

    def _objects(self, method: str, path: str) -> list[Data]:
        answer = self._json(self._call(method, path))
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise self._not_ours()
        return answer

    def _object(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> Data:
        answer = self._json(self._call(method, path, query, body))
        if not isinstance(answer, dict):
            raise self._not_ours()
        return answer

    def _json(self, response: httpx.Response) -> object:
        try:
            return response.json()
        except ValueError:
            raise self._not_ours() from None

    def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object | None = None
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, params=query, json=body)
        except httpx.TimeoutException:
            raise ApiError(f"{self.url} did not answer within {TIMEOUT_SECONDS} s") from None
        except httpx.HTTPError as error:
            raise ApiError(self._unreachable(error)) from None
        if response.is_success:
            return response
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise ApiError(
                f"{self.url} refused the API key of {self._key_source}: {_reason(response)}; "
                "set ZONEGATE_API_KEY (or --api-key-file) to a valid one; 'zonegate api-keys create NAME' makes them",
                response.status_code,
            )
        raise ApiError(_reason(response), response.status_code)

    def _unreachable(self, error: httpx.HTTPError) -> str:
        reason = printable(str(error)) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return (
                f"{self.url} has a certificate that is not trusted ({reason}); name who signed it with --ca FILE "
                "(or ZONEGATE_CA)"
            )
        return f"cannot reach {self.url}: {reason}; --url (or ZONEGATE_URL) says where the API is"

    def _not_ours(self) -> ApiError:
        return ApiError(
            f"{self.url} answered with something that zonegate's API does not say; "
            "does --url (or ZONEGATE_URL) name the right server?"
        )


def _path(*steps: str) -> str:
    return "/".join((steps[0], *(quote(step, safe="") for step in steps[1:])))


def _reason(response: httpx.Response) -> str:
    """The most specific of what the API says: cause, else msg, else title."""
    try:
        said: object = response.json()
    except ValueError:
        said = None
    if isinstance(said, dict):
        for field in ("cause", "msg", "title"):
            if isinstance(text := said.get(field), str) and text.strip():
                return "\n".join(printable(line) for line in text.strip().splitlines())
    return f"{response.status_code} {response.reason_phrase}".strip()
