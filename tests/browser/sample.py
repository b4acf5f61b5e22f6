"""What the pages show where no Kafka is: some partners' zones in every state, and an hour of their traffic.

All of it is made up, and the same on every run: pictures of the pages differ only where the pages do.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from controlplane.partner_zone import PartnerZone
from controlplane.times import format_time, format_unix_time
from controlplane.zone_activity import (
    SHOWN_MINUTES,
    AliasUse,
    ConnectedClient,
    GatewayTraffic,
    Minute,
    Rates,
    RecentRefusal,
    ZoneActivity,
)
from controlplane.zone_service import (
    Condition,
    CredentialView,
    GatewayView,
    IssuedCredential,
    Status,
    Upserted,
    ZoneView,
)
from policies.credentials import Credential, hash_password
from tests.unit.controlplane.api.memory_service import MemoryService
from tests.unit.controlplane.pages.memory_activity import MemoryActivity

NOW: Final = 1_763_760_000.0
"""2025-11-21, 21:20 UTC."""

PASSWORD: Final = "kV4nR8sTq2LwXz7bHc9mYd3fGj6pNa5uE"
"""Of every new credential."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

TOPICS: Final = {
    "production": (
        "finance.invoices.v2",
        "finance.settlements.v1",
        "logistics.shipment-events.v3",
        "logistics.tracking-positions.v1",
        "logistics.warehouse-stock-levels.v2",
        "sales.partner-orders.v1",
        "sales.partner-returns.v1",
        "sales.price-lists.v4",
        "telemetry.vehicle-temperatures.v1",
        "weather.forecasts.v1",
    ),
    "analytics": ("reports.daily-revenue", "reports.weekly-churn", "segments.customers"),
}

_GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")


def at(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class SampleService(MemoryService):
    """The same for whoever asks again: ids, passwords and times are not drawn."""

    async def upsert(
        self, resource: PartnerZone, dry_run: bool = False, version: int | None = None
    ) -> tuple[ZoneView, Upserted]:
        view, outcome = await super().upsert(resource, dry_run, version)
        if outcome is not Upserted.NOT_CHANGED:
            name = resource.metadata.name
            view = replace(view, id=str(uuid5(NAMESPACE_URL, name)), updated_at=at(0))
            if not dry_run:
                self._zones[name] = view
        return view, outcome

    async def generate(self, zone: str, validity: timedelta | None) -> IssuedCredential:
        issued = await super().generate(zone, validity)
        self._credentials.pop(issued.credential.id)
        expires = NOW + validity.total_seconds() if validity is not None else None
        return IssuedCredential(self.add_credential(zone, 0, expires), PASSWORD)

    def add_credential(self, zone: str, ago: float, expires: float | None, used: str | None = None) -> Credential:
        number = len(self._credentials)
        made = format_unix_time(NOW - ago)
        identifier = uuid5(NAMESPACE_URL, f"{zone} {number}").hex[:16]
        credential = Credential(identifier, zone, made, hash_password(PASSWORD), expires)
        self._credentials[identifier] = credential, used
        return credential

    def age(self, name: str, ago: float, version: int) -> None:
        """As if it had been edited then."""
        self._zones[name] = replace(self._zones[name], updated_at=at(ago), version=version)

    @staticmethod
    def _credential_view(credential: Credential, used: str | None) -> CredentialView:
        expires = format_unix_time(credential.expires) if credential.expires is not None else None
        state = "valid" if credential.valid_at(NOW) else "expired"
        return CredentialView(credential.id, credential.zone, credential.created, expires, used, state)


class Sample:
    """Made by `filled` or `empty`."""

    def __init__(self) -> None:
        self.service = SampleService(tuple(TOPICS))
        self.service.topics.update(TOPICS)
        self.service.gateway_views = list(gateways())
        self.activity = MemoryActivity()

    @classmethod
    def empty(cls) -> "Sample":
        """Of somebody who has just begun."""
        return cls()

    @classmethod
    async def filled(cls) -> "Sample":
        sample = cls()
        for resource in _zones():
            await sample.service.upsert(PartnerZone.model_validate(resource))
        _set_states(sample.service)
        _add_credentials(sample.service)
        for name in ("acme-logistics", "external-partner-zone", "harbour-analytics"):
            sample.activity.zones[name] = _activity(name)
        for number, gateway in enumerate(_GATEWAYS):
            traffic = GatewayTraffic(812_000 - 340_000 * number, 2_310_000 - 912_000 * number)
            sample.activity.gateways[gateway, None] = traffic
        return sample


# zones


def _zone(name: str, display_name: str, account: str, topics: Iterable[tuple[str, str, str]], **more: Any) -> Any:
    """`topics` are (alias, backing topic, permission); `labels`, and the fields of a specification."""
    rows = [{"name": alias, "backingTopic": topic, "permission": right} for alias, topic, right in topics]
    labels, cluster = more.pop("labels", {}), more.pop("cluster", "production")
    spec = {"cluster": cluster, "displayName": display_name, "topics": rows, **more}
    if "authenticationMode" not in spec:
        spec["serviceAccount"] = account
    return {
        "apiVersion": "v2",
        "kind": "PartnerZone",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def _zones() -> Iterator[Any]:
    yield _zone(
        "acme-logistics",
        "ACME Logistics",
        "acme",
        [
            ("shipments", "logistics.shipment-events.v3", "READ"),
            ("positions", "logistics.tracking-positions.v1", "READ"),
            ("orders", "sales.partner-orders.v1", "WRITE"),
        ],
        labels={"team": "supply-chain", "tier": "gold"},
        description="Carrier for all deliveries in northern Europe: reads what to fetch, and tells us of new orders.",
        url="https://www.acme-logistics.example",
        trafficControlPolicies={"maxProduceRate": 1_048_576, "maxConsumeRate": 2_097_152, "limitCommitOffset": 600},
        partner={
            "name": "Ingrid Solberg",
            "role": "Integration lead",
            "email": "ingrid.solberg@acme-logistics.example",
            "phone": "+47 22 00 11 22",
        },
    )
    yield _zone(
        "external-partner-zone",
        "External Partner Zone",
        "johndoe",
        [("topic-a", "sales.price-lists.v4", "WRITE"), ("topic-b", "sales.price-lists.v4", "READ")],
        labels={"team": "sales"},
        url="https://partner1.com",
        partner={
            "name": "John Doe",
            "role": "Data analyst",
            "email": "johndoe@company.io",
            "phone": "07827 837 177",
        },
    )
    yield _zone(
        "harbour-analytics",
        "Harbour Analytics",
        "",
        [("daily-revenue", "reports.daily-revenue", "READ"), ("churn", "reports.weekly-churn", "READ")],
        cluster="analytics",
        labels={"team": "insights", "tier": "silver"},
        authenticationMode={"type": "OAUTHBEARER", "serviceAccount": "harbour-etl"},
        trafficControlPolicies={"maxConsumeRate": 5_242_880},
    )
    yield _zone(
        "mueller-soehne",
        "Müller & Söhne Kühltransporte GmbH & Co. KG, Niederlassung Hamburg-Wilhelmsburg",
        "",
        [("temperatures", "telemetry.vehicle-temperatures.v1", "WRITE")],
        labels={"team": "supply-chain", "contract": "kuehltransporte-2025-hamburg-wilhelmsburg"},
        url="https://www.mueller-und-soehne-kuehltransporte-hamburg.example/partner/schnittstellen",
        authenticationMode={"type": "MTLS", "serviceAccount": "CN=mueller,O=Mueller und Soehne,L=Hamburg,C=DE"},
    )
    yield _zone(
        "nordic-payments",
        "Nordic Payments",
        "nordic",
        [("invoices", "finance.invoices.v2", "READ"), ("settlements", "finance.settlements.v2", "WRITE")],
        labels={"team": "finance", "tier": "gold"},
        url="https://nordic-payments.example",
    )
    yield _zone(
        "weather-service",
        "Weather Service",
        "weather",
        [("forecasts", "weather.forecasts.v1", "WRITE")],
        labels={"team": "supply-chain"},
    )


def _set_states(service: SampleService) -> None:
    ages = {
        "acme-logistics": (3 * DAY + HOUR, 7),
        "external-partner-zone": (40 * MINUTE, 2),
        "harbour-analytics": (61 * DAY, 1),
        "mueller-soehne": (9 * DAY, 3),
        "nordic-payments": (17 * MINUTE, 12),
        "weather-service": (8.0, 1),
    }
    for name, (ago, version) in ages.items():
        service.age(name, ago, version)
        service.set_status(name, Status.READY)
        service.conditions_of[name] = _conditions(service, name)
    gone = "backing topic 'finance.settlements.v2' does not exist"
    service.set_status("nordic-payments", Status.FAILED, gone)
    remedy = f"{gone}. Create what is missing, let the gateway's user see it, or take it out of the zone."
    service.conditions_of["nordic-payments"] = _but(service, "nordic-payments", Condition("Topics", False, remedy))
    service.set_status("weather-service", Status.PENDING)
    waiting = "on 2 of 3 gateways. Not yet on gateway gateway-3: wait, or look at what it logs."
    service.conditions_of["weather-service"] = _but(service, "weather-service", Condition("In force", None, waiting))


def _conditions(service: SampleService, name: str) -> Sequence[Condition]:
    view = service.zone(name)
    spec = view.resource.spec
    since = view.updated_at.partition(".")[0].replace("T", " ")
    sign_in = {"PLAIN": "a password", "OAUTHBEARER": "a token", "MTLS": "a certificate"}[view.resource.mode]
    backing = len({topic.backing_topic for topic in spec.topics})
    existing = "the backing topic exists" if backing == 1 else f"all {backing} backing topics exist"
    return (
        Condition("Stored", True, f"version {view.version}, since {since} UTC"),
        Condition("Gateways", True, "3 gateways are live"),
        Condition("In force", True, "on all 3 gateways"),
        Condition("Sign-in", True, f"Clients can sign in with {sign_in}."),
        Condition("Cluster", True, f"cluster {spec.cluster!r} answers"),
        Condition("Topics", True, existing),
    )


def _but(service: SampleService, name: str, changed: Condition) -> Sequence[Condition]:
    return [changed if each.name == changed.name else each for each in service.conditions_of[name]]


def _add_credentials(service: SampleService) -> None:
    now = datetime.fromtimestamp(NOW, UTC)
    used = format_time(now - timedelta(minutes=2))
    service.add_credential("acme-logistics", 400 * DAY, NOW - 35 * DAY, format_time(now - timedelta(days=36)))
    service.add_credential("acme-logistics", 40 * DAY, NOW + 325 * DAY, used)
    service.add_credential("acme-logistics", 2 * DAY, None)
    service.add_credential("external-partner-zone", 90 * DAY, None, used)
    service.add_credential("nordic-payments", 17 * MINUTE, NOW + 90 * DAY)


# what partners do


def _activity(name: str) -> ZoneActivity:
    seed = len(name)
    refusals = tuple(_refusals()) if name == "acme-logistics" else ()
    clients = tuple(_clients()) if name == "acme-logistics" else tuple(_clients())[:1]
    return ZoneActivity(
        minutes=[_minute(number, seed) for number in range(SHOWN_MINUTES)],
        rates=Rates(produce=412_000.0 - 9000 * seed, consume=1_980_000.0, commit=84.0),
        clients=clients,
        connections=sum(client.connections for client in clients),
        refusals=refusals,
        uses={"orders": _uses(), "shipments": _uses()[:1], "topic-a": _uses()[:1]},
    )


def _minute(number: int, seed: int) -> Minute:
    """A day's work with its ups and downs, and a few minutes in which nothing was produced."""
    wave = 1 + math.sin((number + seed) / 6) / 2 + math.sin(number * seed) / 6
    produced = 0 if 22 <= number < 26 else int(wave * 14_000_000)
    consumed = int((2.2 - wave) * 48_000_000)
    begin = NOW - NOW % MINUTE - (SHOWN_MINUTES - 1 - number) * MINUTE
    return Minute(begin, produced, produced // 820, consumed, consumed // 910)


def _clients() -> Iterator[ConnectedClient]:
    yield ConnectedClient(
        "acme-orders", "apache-kafka-java 4.1.0", "acme", "203.0.113.17", "gateway-1", NOW - 5 * HOUR, 4
    )
    yield ConnectedClient(
        "acme-tracking", "confluent-kafka-python 2.16.1", "acme", "203.0.113.18", "gateway-2", NOW - 12 * MINUTE
    )
    yield ConnectedClient("rdkafka", "librdkafka 2.16.1", "acme", "2001:db8:17::a4:1", "gateway-1", NOW - 2 * DAY, 2)


def _refusals() -> Iterator[RecentRefusal]:
    yield RecentRefusal(
        NOW - 3 * MINUTE,
        "Produce",
        "WRITE",
        "topic",
        "shipments",
        "topic_authorization_failed",
        "acme",
        "203.0.113.18",
        27,
    )
    yield RecentRefusal(
        NOW - 31 * MINUTE,
        "CreateTopics",
        "CREATE",
        "topic",
        "acme-orders-dead-letters",
        "topic_authorization_failed",
        "acme",
        "203.0.113.17",
    )
    yield RecentRefusal(
        NOW - 52 * MINUTE,
        "FindCoordinator",
        "DESCRIBE",
        "transactional_id",
        "orders-1",
        "transactional_id_authorization_failed",
        "acme",
        "203.0.113.17",
        3,
    )


def _uses() -> Sequence[AliasUse]:
    return (
        AliasUse("acme-orders", "acme", "203.0.113.17", NOW - 20),
        AliasUse("rdkafka", "acme", "2001:db8:17::a4:1", NOW - 14 * MINUTE),
    )


# gateways


def gateways() -> Iterator[GatewayView]:
    """One of them lags behind, and one can't reach a cluster."""
    for number, name in enumerate(_GATEWAYS):
        lag = 4 if name == "gateway-3" else 0
        problems = ("it can't reach cluster 'analytics': no broker answers",) if name == "gateway-2" else ()
        yield GatewayView(
            gateway=name,
            worker=None,
            host=f"kafka-edge-{number + 1}.example.com",
            version="0.1.0",
            started=at(12 * DAY - number * HOUR),
            seen_seconds_ago=1.0 + number,
            applied=17 - lag,
            lag=lag,
            zones=6 - (1 if lag else 0),
            connections=1204 - 400 * number,
            problems=problems,
            clusters=tuple(TOPICS),
        )
