"""The REST API in memory, as its contract says: what the commands' requests meet instead of a server."""

import json
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import ValidationError

from controlplane.partner_zone import PartnerZone, rule_violations

KEY = "a-key"
Data = dict[str, Any]

GATEWAY: Data = {
    "gateway": "gateway-1",
    "worker": None,
    "host": "host-1",
    "version": "0.1.0",
    "started": "2026-01-27T12:00:00Z",
    "seenSecondsAgo": 1.4,
    "applied": 41,
    "lag": 0,
    "zones": 2,
    "connections": 17,
    "problems": [],
}


class FakeApi:
    """Zones, credentials and keys by what names them. `statuses` are told one after the other, the last for good."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[httpx.Request] = []
        self.zones: dict[str, Data] = {}
        self.statuses: dict[str, list[str]] = {}
        self.failed_reason = "topic kafka-topic-a does not exist"
        self.credentials: dict[str, Data] = {}
        self.keys: dict[str, Data] = {}
        self.state: Data = {"kind": "topic", "name": "_zonegate", "offset": 41, "problem": ""}
        self.gateways: list[Data] = [dict(GATEWAY)]
        self.instead: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        """An answer that comes before all others."""

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def store(self, resource: Data, status: str = "READY") -> Data:
        """A zone, as the server returns it: with both spellings of the service account, and its metadata."""
        read = PartnerZone.model_validate(resource)
        stored = read.model_dump(by_alias=True, exclude_none=True)
        name = read.metadata.name
        stored["metadata"] |= {
            "id": f"id-of-{name}",
            "updatedAt": "2025-01-27T12:55:05.387368Z",
            "status": status,
        }
        self.zones[name] = stored
        return stored

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if (instead := self.instead(request)) is not None:
            return instead
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return httpx.Response(401, json={"title": "Unauthorized", "msg": "this API key is not known"})
        match request.method, *request.url.path.removeprefix("/api/").split("/"):
            case method, "public", "console", "v2", "partner-zone", *name:
                return self._zones(method, request, name)
            case "GET", "public", "zonegate", "v1", "gateways":
                return httpx.Response(200, json={"state": self.state, "gateways": self.gateways})
            case method, "public", "zonegate", "v1", "credentials", *ids:
                return self._credentials(method, request, ["credentials", *ids])
            case method, "public", "partner-zone", "v2", *path:
                return self._credentials(method, request, path)
            case method, "token", "v1", *path:
                return self._tokens(method, request, path)
        return httpx.Response(404, json={"title": "Not Found"})

    def _zones(self, method: str, request: httpx.Request, name: list[str]) -> httpx.Response:
        if method == "PUT":
            return self._put(json.loads(request.content), request.url.params["dryMode"] == "true")
        if method == "GET" and not name:
            return httpx.Response(200, json=[self._told(each) for each in self.zones])
        if name[0] not in self.zones:
            return httpx.Response(404, json={"title": "No partner-zone with this technical id exists"})
        if method == "DELETE":
            del self.zones[name[0]]
            return httpx.Response(200)
        return httpx.Response(200, json=self._told(name[0]))

    def _told(self, name: str) -> Data:
        resource: Data = json.loads(json.dumps(self.zones[name]))
        if statuses := self.statuses.get(name):
            resource["metadata"]["status"] = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if resource["metadata"]["status"] == "FAILED":
            resource["metadata"]["failedReason"] = self.failed_reason
        return resource

    def _put(self, resource: Data, dry: bool) -> httpx.Response:
        try:
            read = PartnerZone.model_validate(resource)
        except ValidationError as error:
            return httpx.Response(400, json={"title": "Bad Request", "msg": str(error)})
        assert not list(rule_violations(read))
        before = self.zones.get(read.metadata.name)
        accounts = {each["spec"]["serviceAccount"]: name for name, each in self.zones.items()}
        if accounts.get(str(read.spec.service_account), read.metadata.name) != read.metadata.name:
            return httpx.Response(409, json={"title": "Conflict", "msg": "a rule", "cause": "johndoe is taken"})
        after = self.store(resource)
        result = "Created" if before is None else "NotChanged" if before == after else "Updated"
        if dry:
            self.zones.pop(read.metadata.name)
            if before is not None:
                self.zones[read.metadata.name] = before
        return httpx.Response(200, json={"resource": after, "upsertResult": result})

    def _credentials(self, method: str, request: httpx.Request, path: list[str]) -> httpx.Response:
        if path == ["credentials"]:
            return httpx.Response(200, json=list(self.credentials.values()))
        if method == "DELETE":
            if self.credentials.pop(path[1], None) is None:
                return httpx.Response(404, json={"title": "Not Found", "msg": f"there is no credential {path[1]}"})
            return httpx.Response(200)
        zone = path[0]
        if zone not in self.zones:
            return httpx.Response(404, json={"title": "No partner-zone with this technical id exists"})
        if method == "GET":
            return httpx.Response(200, json=[each for each in self.credentials.values() if each["zone"] == zone])
        made = self.credential(f"new-{len(self.credentials)}", zone)
        made["expires"] = None if request.url.params["expiresIn"] == "never" else "2026-04-27T12:55:05Z"
        told = {field: made[field] for field in ("id", "zone", "created", "expires")}
        account = self.zones[zone]["spec"]["serviceAccount"]
        return httpx.Response(201, json=told | {"password": "s3cret", "username": account})

    def credential(self, name: str, zone: str, **more: str) -> Data:
        self.credentials[name] = {
            "id": name,
            "zone": zone,
            "created": "2026-01-27T12:55:05Z",
            "expires": None,
            "lastUsed": None,
            "state": "valid",
            **more,
        }
        return self.credentials[name]

    def _tokens(self, method: str, request: httpx.Request, path: list[str]) -> httpx.Response:
        if method == "GET":
            return httpx.Response(200, json=list(self.keys.values()))
        if method == "DELETE":
            if self.keys.pop(path[0], None) is None:
                return httpx.Response(404, json={"title": "No token with this id exists"})
            return httpx.Response(200)
        made = {"id": "key-1", "name": json.loads(request.content)["name"], "createdAt": "2026-01-27T12:55:05Z"}
        self.keys[made["id"]] = made
        return httpx.Response(200, json=made | {"token": "t0ken"})
