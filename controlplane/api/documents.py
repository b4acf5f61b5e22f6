"""What goes over the wire, as models: answers are made with them, and the OpenAPI document describes them."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from controlplane.partner_zone import KIND, PartnerZone, Spec
from controlplane.zone_service import Status, Upserted, ZoneView
from policies.names import ZONE_NAME

MAX_KEY_NAME: Final = 255


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    def json_value(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


class StoredMetadata(_Answer):
    name: Annotated[str, Field(pattern=f"^{ZONE_NAME.pattern}$")] = Field(description="The technical id")
    labels: dict[str, str] | None = Field(default=None, description="As they were given; left out when there are none")
    id: str = Field(description="A UUID; another zone of the same name has another")
    updated_at: str = Field(
        description="When the zone was last changed, UTC", json_schema_extra={"format": "date-time"}
    )
    status: Status = Field(
        description=(
            "PENDING: stored, and not yet in force on every live gateway. READY: every live gateway serves this "
            "version, and each backing topic exists. FAILED: see failedReason"
        )
    )
    failed_reason: str | None = Field(
        default=None,
        description="Which gateway could not apply it, which cluster is out of reach, which backing topic is missing; "
        "left out when nothing is",
    )


class StoredPartnerZone(_Answer):
    """A zone as it is stored, and how it is. Optional fields that are not set are left out."""

    api_version: Literal["v2"]
    kind: Literal["PartnerZone"]
    metadata: StoredMetadata
    spec: Spec = Field(description="With both spellings of the service account")


class PartnerZoneApplyResult(_Answer):
    resource: StoredPartnerZone
    upsert_result: Upserted = Field(description="What has become of it; what would have, with dryMode")


class Credential(_Answer):
    """A password of a zone's service account, without the password."""

    id: str = Field(examples=["3f0c9a51d2e84b67"])
    zone: str = Field(examples=["external-partner-zone"])
    created: str = Field(examples=["2025-01-27T12:55:05Z"])
    expires: str | None = Field(examples=["2025-04-27T12:55:05Z"], description="null: never")
    last_used: str | None = Field(examples=["2025-01-28T09:12:40Z"], description="null: not yet")
    state: str = Field(examples=["valid"], description="valid or expired")


class NewCredential(_Answer):
    """A new password, which is shown this once."""

    id: str = Field(examples=["3f0c9a51d2e84b67"])
    zone: str = Field(examples=["external-partner-zone"])
    created: str = Field(examples=["2025-01-27T12:55:05Z"])
    expires: str | None = Field(examples=["2025-04-27T12:55:05Z"], description="null: never")
    password: str = Field(description="Nothing but a hash of it is kept", repr=False)
    username: str = Field(examples=["johndoe"], description="The zone's service account")


class Gateway(_Answer):
    """A gateway process that has lately told of itself."""

    gateway: str
    worker: int | None = Field(description="Its number, where a gateway has several processes")
    host: str
    version: str
    started: str
    seen_seconds_ago: float
    applied: int = Field(description="The offset of the state topic up to which it serves what is stored")
    lag: int = Field(description="Records of the state topic behind that")
    zones: int
    connections: int
    problems: list[str] = Field(description="In plain words")
    clusters: list[str] = Field(description="The ids of those that it serves; a single one may have none")


class State(_Answer):
    """Where the desired state is kept, as this process sees it."""

    kind: str = Field(description="topic or files")
    name: str = Field(description="The topic's, or the folder's")
    offset: int = Field(description="Of the last record that was read; -1 when there is none")
    problem: str = Field(description="Why it is out of reach; empty when it is not")


class Gateways(_Answer):
    state: State
    gateways: list[Gateway]


class AdminToken(_Answer):
    """An API key, without the key itself."""

    id: str
    name: str
    created_at: str


class CreatedAdminToken(AdminToken):
    token: str = Field(description="The key, which is shown this once", repr=False)


def _check_key_name(name: str) -> str:
    if not name or not name.isprintable() or name != name.strip() or len(name) > MAX_KEY_NAME:
        raise ValueError(
            f"{name!r} is not a name; use 1 to {MAX_KEY_NAME} printable characters without a space at either end"
        )
    return name


class CreateAdminToken(BaseModel):
    """What an API key is to be called."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[
        str,
        AfterValidator(_check_key_name),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_KEY_NAME, "examples": ["deployment"]}),
    ] = Field(examples=["deployment"])


class Health(_Answer):
    status: Literal["LIVE", "READY"]


class Versions(_Answer):
    zonegate: str = Field(examples=["0.1.0"])


class ApiProblem(BaseModel):
    """Every answer that is no success."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(description="What kind of problem it is")
    msg: str = Field(default="", description="More of it, where there is more to say")
    cause: str = Field(
        default="", description="The whole reason; of a resource, every rule that it breaks, a line each with the field"
    )


def stored_zone(view: ZoneView) -> dict[str, Any]:
    """A zone as the API shows it, its fields in the order of the manifest."""
    resource = view.resource
    metadata: dict[str, Any] = {"name": resource.metadata.name}
    if resource.metadata.labels:
        metadata["labels"] = resource.metadata.labels
    metadata |= {"id": view.id, "updatedAt": view.updated_at, "status": view.status.value}
    if view.failed_reason is not None:
        metadata["failedReason"] = view.failed_reason
    spec = resource.spec.model_dump(by_alias=True, exclude_none=True)
    return {"apiVersion": "v2", "kind": KIND, "metadata": metadata, "spec": _without_empty_sections(spec)}


def _without_empty_sections(spec: dict[str, Any]) -> dict[str, Any]:
    """Sections in which nothing is set say nothing."""
    headers = {name: rules for name, rules in spec.pop("headers", {}).items() if rules}
    if not spec.get("trafficControlPolicies", True):
        del spec["trafficControlPolicies"]
    return spec | ({"headers": headers} if headers else {})


EXAMPLE: Final[dict[str, Any]] = {
    "apiVersion": "v2",
    "kind": KIND,
    "metadata": {"name": "external-partner-zone", "labels": {"team": "payments"}},
    "spec": {
        "cluster": "partner1",
        "displayName": "External Partner Zone",
        "description": "Why this is shared",
        "url": "https://partner1.com",
        "serviceAccount": "johndoe",
        "topics": [
            {"name": "topic-a", "backingTopic": "kafka-topic-a", "permission": "WRITE"},
            {"name": "topic-b", "backingTopic": "kafka-topic-a", "permission": "READ"},
        ],
        "partner": {
            "name": "John Doe",
            "role": "Data analyst",
            "email": "johndoe@company.io",
            "phone": "07827 837 177",
        },
        "trafficControlPolicies": {"maxProduceRate": 1048576, "maxConsumeRate": 1048576, "limitCommitOffset": 600},
    },
}
"""A zone as people write it."""

STORED_EXAMPLE: Final = stored_zone(
    ZoneView(
        resource=PartnerZone.model_validate(EXAMPLE),
        id="332b30cd-7bda-4659-b1c1-39986986f0bd",
        version=1,
        updated_at="2025-01-27T12:55:05.387368Z",
        status=Status.READY,
    )
)
