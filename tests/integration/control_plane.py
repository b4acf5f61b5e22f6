"""Gateways that share a state topic, and the REST API of those that have a console."""

import uuid
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpx

from tests.canary import Canaries
from tests.integration.gateway import Command, Manifest, manifest
from tests.integration.world import CLIENT_HOST, Account, Front
from tests.kafka import Cluster
from tests.kafka.ports import free_ports
from tests.kafka.waiting import wait_until

API_KEY = "a-key-for-tests-to-begin-with"
STATUS_SECONDS = 20.0
"""Drift is looked for every five seconds."""


class Api:
    """The REST API of one console."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{CLIENT_HOST}:{port}"
        self.http = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {API_KEY}"}, timeout=20)

    def put(self, resource: Manifest) -> httpx.Response:
        return self.http.put("/public/console/v2/partner-zone", json=resource)

    def zone(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/public/console/v2/partner-zone/{name}").raise_for_status().json()
        return found

    def status(self, name: str) -> tuple[str, str | None]:
        metadata = self.zone(name)["metadata"]
        return metadata["status"], metadata.get("failedReason")

    def wait_for(self, name: str, status: str) -> str | None:
        """Until the zone has this status. The reason, where it has one."""
        wait_until(lambda: self.status(name)[0] == status, f"zone {name} {status}", STATUS_SECONDS)
        return self.status(name)[1]

    def delete(self, name: str) -> httpx.Response:
        return self.http.delete(f"/public/console/v2/partner-zone/{name}")

    def new_password(self, zone: str) -> str:
        answer = self.http.post(f"/public/partner-zone/v2/{zone}/generate-credentials").raise_for_status()
        return str(answer.json())

    def gateways(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (
            self.http.get("/public/zonegate/v1/gateways").raise_for_status().json()["gateways"]
        )
        return found


class Node(Front):
    """One gateway of a fleet, with its tap."""

    def __init__(
        self,
        kafka: Cluster,
        canaries: Canaries,
        state_topic: str,
        command: Command = "gateway",
        settings: Mapping[str, object] = MappingProxyType({}),
        workers: int = 1,
        clusters: int = 1,
    ) -> None:
        (port,) = free_ports(1, CLIENT_HOST)
        console = {"listen": f"{CLIENT_HOST}:{port}", "api_key": API_KEY}
        own = {"state_topic": state_topic, **({} if command == "gateway" else {"console": console}), **settings}
        super().__init__(kafka, canaries, own, workers, command, clusters)
        self.api = Api(port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.api.http.close()
        super().__exit__(kind, error, trace)


class ConsoleNode(Node):
    """A console alone: no partner can connect."""

    def __init__(self, kafka: Cluster, canaries: Canaries, state_topic: str) -> None:
        super().__init__(kafka, canaries, state_topic, "console")
        self.gateway.ready_at = f"{self.api.url}/health/ready"


class Fleet:
    """Several gateways; the first ones have a console."""

    def __init__(self, kafka: Cluster, canaries: Canaries, *commands: Command) -> None:
        state_topic = f"_zonegate-{uuid.uuid4().hex[:8]}"
        self.nodes = [Node(kafka, canaries, state_topic, command) for command in commands]
        self.canaries = canaries

    @property
    def api(self) -> Api:
        return self.nodes[0].api

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.tap.start()
            node.gateway.launch()
        for node in self.nodes:
            node.gateway.wait_until_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            node.__exit__(None, None, None)

    def share(self, zone: str, user: str, topics: list[tuple[str, str, str]]) -> Account:
        """Create a zone, and wait until it is ready. The account's address is that of the first gateway."""
        self.api.put(manifest(zone, user, topics)).raise_for_status()
        self.canaries.add(f"{zone}:", f"the name of {zone}, another zone", user)
        self.api.wait_for(zone, "READY")
        return Account(self.nodes[0].gateway.bootstrap, zone, user, self.api.new_password(zone))
