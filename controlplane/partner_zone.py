"""The PartnerZone resource, as people write it, and the rules that one resource must keep on its own.

Rules between zones (unique names and service accounts) belong to whoever sees all zones: `manifests`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from controlplane.problems import Path, did_you_mean
from policies.names import (
    INTERNAL_TOPICS,
    MAX_TOPIC_NAME,
    PASSTHROUGH,
    STATE_TOPICS,
    ZONE_NAME,
    check_topic_name,
    check_zone_name,
    is_internal_topic,
)
from policies.zone import Alias, Permission, Zone, ZoneLimits
from policies.zone import AuthenticationMode as AuthenticationModeName

KIND = "PartnerZone"
MAX_SERVICE_ACCOUNT = 255
MAX_LIMIT = 2**63 - 1
"""An int64, which every tool that reads manifests can hold."""


def _checked(check: Callable[[str], str | None]) -> AfterValidator:
    def validate(text: str) -> str:
        if reason := check(text):
            raise ValueError(reason)
        return text

    return AfterValidator(validate)


def _check_backing_topic(name: str) -> str | None:
    if is_internal_topic(name):
        return f"{name!r} is an internal topic and cannot be shared; name a topic of your own"
    return check_topic_name(name)


def _check_service_account(name: str) -> str | None:
    if not name or not name.isprintable() or name != name.strip() or len(name) > MAX_SERVICE_ACCOUNT:
        return (
            f"{name!r} is not a service account; use 1 to {MAX_SERVICE_ACCOUNT} printable characters "
            "without a space at either end"
        )
    return None


def _check_required_text(text: str) -> str | None:
    return None if text.strip() else "is empty; write a value"


def _check_regex(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"{pattern!r} is not a regular expression: {error}"
    return None


def _text(**schema: object) -> WithJsonSchema:
    """What a schema can say of the rule beside it, to those who read the API's document."""
    return WithJsonSchema({"type": "string", **schema})


def _topic(*forbidden: str, prefix: str = "") -> WithJsonSchema:
    other = {"not": {"enum": [".", "..", *forbidden]}}
    beginning = f"(?!{prefix})" if prefix else ""
    return _text(pattern=f"^{beginning}[a-zA-Z0-9._-]+$", minLength=1, maxLength=MAX_TOPIC_NAME, **other)


TopicName = Annotated[str, _checked(check_topic_name), _topic()]
BackingTopic = Annotated[str, _checked(_check_backing_topic), _topic(*sorted(INTERNAL_TOPICS), prefix=STATE_TOPICS)]
ZoneName = Annotated[
    str, _checked(check_zone_name), _text(pattern=f"^{ZONE_NAME.pattern}$", **{"not": {"const": PASSTHROUGH}})
]
ServiceAccount = Annotated[
    str,
    _checked(_check_service_account),
    _text(minLength=1, maxLength=MAX_SERVICE_ACCOUNT, pattern=r"^\S(.*\S)?$"),
]
RequiredText = Annotated[str, _checked(_check_required_text), _text(minLength=1, pattern=r"\S")]
Regex = Annotated[str, _checked(_check_regex), _text(format="regex")]
Limit = Annotated[int, Field(gt=0, le=MAX_LIMIT)]


_IGNORED: Final = "What an answer has added: taken, and left out of account"


class _Resource(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel)


class Metadata(_Resource):
    name: ZoneName = Field(examples=["external-partner-zone"], description="The technical id, which never changes")
    labels: dict[str, str] = Field(default={}, description="Names and values of your own")
    id: str | None = Field(default=None, exclude=True, description=_IGNORED)
    updated_at: str | None = Field(default=None, exclude=True, description=_IGNORED)
    status: str | None = Field(default=None, exclude=True, description=_IGNORED)
    failed_reason: str | None = Field(default=None, exclude=True, description=_IGNORED)
    """The last four are answers of the control plane. They are taken and left out of account, so that what `get` has
    printed can be edited and applied."""


class AuthenticationMode(_Resource):
    type: AuthenticationModeName = Field(
        default="PLAIN",
        description="What the partner signs in with. PLAIN: a password of the zone. OAUTHBEARER: a token of the "
        "identity provider, whose sub is the service account. MTLS: a certificate that is mapped to it",
    )
    service_account: ServiceAccount = Field(
        examples=["johndoe"], description="The partner's user name; it belongs to one zone only"
    )


class SharedTopic(_Resource):
    name: TopicName = Field(examples=["topic-a"], description="What the partner sees; unique in the zone")
    backing_topic: BackingTopic = Field(
        examples=["kafka-topic-a"], description="The topic that is shared; internal topics can't be"
    )
    permission: Literal["READ", "WRITE"] = Field(
        default="READ", description="WRITE includes READ; one alias of a backing topic may have it"
    )


class Partner(_Resource):
    name: RequiredText = Field(examples=["John Doe"])
    role: str | None = None
    email: str | None = None
    phone: str | None = None


class TrafficControlPolicies(_Resource):
    """Of all connections of the zone together; what is left out has no limit."""

    max_produce_rate: Limit | None = Field(
        default=None,
        examples=["1048576"],
        description="Bytes of record batches per second from producers, as they travel: compressed",
    )
    max_consume_rate: Limit | None = Field(default=None, examples=["1048576"], description="The same, to consumers")
    limit_commit_offset: Limit | None = Field(
        default=None, examples=["600"], description="Requests that commit offsets, per minute"
    )


class AddedHeader(_Resource):
    key: RequiredText = Field(examples=["x-partner"])
    value: str = Field(examples=["{{user}}"], description="With words in double braces that are filled in")
    override_if_exists: bool = Field(examples=["true"], description="Whether it takes the place of one that is there")


class RemovedHeader(_Resource):
    key_regex: Regex = Field(examples=["^internal-.*"], description="Of the keys of headers that are removed")


class Headers(_Resource):
    add_on_produce: list[AddedHeader] = []
    remove_on_consume: list[RemovedHeader] = []


class Spec(_Resource):
    cluster: RequiredText = Field(examples=["partner1"], description="The id of a configured cluster")
    display_name: str | None = Field(default=None, description="For people")
    description: str | None = Field(default=None, description="Why this is shared")
    url: str | None = Field(default=None, description="Of the partner")
    service_account: ServiceAccount | None = Field(
        default=None,
        examples=["johndoe"],
        description="Short for authenticationMode with the type PLAIN; one of the two is needed",
    )
    authentication_mode: AuthenticationMode | None = Field(default=None, description="How the partner signs in")
    topics: list[SharedTopic] = Field(
        min_length=1,
        examples=["[{name: topic-a, backingTopic: kafka-topic-a}]"],
        description="What is shared. Two names for one topic are fine",
    )
    partner: Partner | None = Field(default=None, description="Whom to ask")
    traffic_control_policies: TrafficControlPolicies | None = Field(
        default=None, description="Limits, which delay and never refuse"
    )
    headers: Headers | None = Field(default=None, description="What is done to the headers of records")

    @model_validator(mode="after")
    def _fill_in_both_spellings(self) -> "Spec":
        if self.authentication_mode is None and self.service_account is not None:
            self.authentication_mode = AuthenticationMode.model_validate({"serviceAccount": self.service_account})
        elif self.service_account is None and self.authentication_mode is not None:
            self.service_account = self.authentication_mode.service_account
        return self


class PartnerZone(_Resource):
    api_version: Literal["v2", "console/v2"] = Field(examples=["v2"])
    kind: Literal["PartnerZone"] = Field(examples=[KIND])
    metadata: Metadata = Field(examples=["{name: external-partner-zone}"])
    spec: Spec

    @property
    def mode(self) -> AuthenticationModeName:
        """How the zone's clients sign in."""
        return self.spec.authentication_mode.type if self.spec.authentication_mode is not None else "PLAIN"

    def to_zone(self) -> Zone:
        """What the data plane needs of it. Only for a resource without violations."""
        return Zone(
            name=self.metadata.name,
            cluster=self.spec.cluster,
            service_account=self.spec.service_account or "",
            aliases=tuple(
                Alias(topic.name, topic.backing_topic, Permission(topic.permission)) for topic in self.spec.topics
            ),
            authentication=self.mode,
            limits=self._limits(),
        )

    def _limits(self) -> ZoneLimits:
        policies = self.spec.traffic_control_policies or TrafficControlPolicies()
        return ZoneLimits(policies.max_produce_rate, policies.max_consume_rate, policies.limit_commit_offset)

    def not_enforced(self) -> list[str]:
        """The fields that this zone sets and this version keeps, but does not act on yet."""
        headers = self.spec.headers
        fields = []
        if headers is not None and (headers.add_on_produce or headers.remove_on_consume):
            fields.append("spec.headers")
        return fields


def rule_violations(resource: PartnerZone, cluster_ids: tuple[str, ...] | None = None) -> Iterator[tuple[Path, str]]:
    """The rules that concern several fields at once. `cluster_ids` are those of the clusters that are configured, None
    for any."""
    spec = resource.spec
    if cluster_ids is not None and spec.cluster not in cluster_ids:
        yield ("spec", "cluster"), unknown_cluster(spec.cluster, cluster_ids)
    yield from _authentication_violations(spec)
    yield from _topic_violations(spec.topics)


def unknown_cluster(name: str, configured: tuple[str, ...]) -> str:
    """What is wrong with the name of a cluster that is none of these."""
    known = ", ".join(map(repr, configured))
    if len(configured) == 1:
        return f"{name!r} is not configured; the configured cluster is {known}"
    meant = did_you_mean(name, configured)
    question = f"; did you mean {meant!r}?" if meant is not None else ""
    return f"{name!r} is not configured; the configured clusters are {known}{question}"


def _authentication_violations(spec: Spec) -> Iterator[tuple[Path, str]]:
    mode = spec.authentication_mode
    if mode is None:
        yield ("spec", "serviceAccount"), "is missing; add it, for example 'serviceAccount: johndoe'"
        return
    if mode.service_account != spec.service_account:
        yield (
            ("spec", "authenticationMode", "serviceAccount"),
            f"{mode.service_account!r} contradicts spec.serviceAccount {spec.service_account!r}; keep one of them",
        )


def _topic_violations(topics: list[SharedTopic]) -> Iterator[tuple[Path, str]]:
    names: set[str] = set()
    writers: dict[str, str] = {}
    for position, topic in enumerate(topics):
        here: Path = ("spec", "topics", position)
        if topic.name in names:
            yield (*here, "name"), f"another topic of this zone is named {topic.name!r} already; give each its own name"
        names.add(topic.name)
        if topic.permission != "WRITE":
            continue
        if (first := writers.setdefault(topic.backing_topic, topic.name)) != topic.name:
            yield (
                (*here, "permission"),
                f"{first!r} and {topic.name!r} both have WRITE on {topic.backing_topic!r}; "
                "only one alias of a backing topic may, so give the other READ",
            )
