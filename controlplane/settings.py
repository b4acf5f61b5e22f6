"""The settings of `zonegate serve`: one YAML file, and environment variables that override it.

A field's variable is ZONEGATE_ and the way to it in capitals, with `_` for every dot: `cluster.bootstrap.servers` is
ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS. An empty variable counts as absent, so that a container's template may set them all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from controlplane.audit_settings import AuditSettings
from controlplane.cluster_settings import (
    Clusters,
    ClusterSettings,
    NamedCluster,
    cluster_violations,
    id_violations,
)
from controlplane.console_settings import ConsoleSettings, StateTopicName
from controlplane.limit_settings import LimitSettings
from controlplane.listener_settings import (
    Listeners,
    ListenerSettings,
    NamedListener,
    listener_violations,
    name_violations,
    port_violations,
)
from controlplane.model_errors import fields_by_name, submodel, violations
from controlplane.oauth_settings import OauthSettings
from controlplane.passthrough_settings import PassthroughSettings
from controlplane.problems import ConfigurationError, Path, Problem, did_you_mean, field_name
from controlplane.settings_fields import (
    Address,
    HostPort,
    MappingRules,
    NotEmpty,
    Number,
    Reauthentication,
    Section,
    Workers,
)
from controlplane.yaml_source import Document, read_text, single_document
from policies.names import STATE_TOPICS
from protocol.oauthbearer import OAUTHBEARER
from proxy.config import MECHANISMS, GatewayConfig, ListenerConfig

PREFIX = "ZONEGATE_"

OTHER_VARIABLES = ("ZONEGATE_CONFIG", "ZONEGATE_ZONES", "ZONEGATE_URL", "ZONEGATE_API_KEY", "ZONEGATE_CA")
"""Variables of the command line's own options."""


class LogSettings(Section):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(ListenerSettings):
    """The whole file. The fields of a listener are those of the only one, where `listeners` names no others; there is
    either one `cluster`, or several `clusters`."""

    listeners: Annotated[tuple[NamedListener, ...], NotEmpty] | None = None
    cluster: ClusterSettings | None = None
    clusters: Annotated[tuple[NamedCluster, ...], NotEmpty] | None = None
    oauth: OauthSettings | None = None
    principal_mapping_rules: MappingRules = "DEFAULT"
    credentials_file: FilePath = FilePath("credentials.yaml")
    admin_listen: Address = HostPort("0.0.0.0", 8888)  # noqa: S104 - so do probes and Prometheus
    secured_metrics: bool = False
    shutdown_grace_seconds: Annotated[float, Number, Field(ge=0, allow_inf_nan=False)] = 10
    max_reauthentication_seconds: Reauthentication = 0
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()
    passthrough: PassthroughSettings | None = None
    audit: AuditSettings = AuditSettings()
    workers: Workers = 1
    console: ConsoleSettings = ConsoleSettings()
    state_topic: StateTopicName = STATE_TOPICS
    _base: FilePath = PrivateAttr(default=FilePath())

    @model_validator(mode="before")
    @classmethod
    def _needs_a_cluster(cls, data: object) -> object:
        """Without any, what is missing are the fields of the only one."""
        if isinstance(data, dict) and data.get("cluster") is None and data.get("clusters") is None:
            return {**data, "cluster": {}}
        return data

    def based_on(self, base: FilePath) -> "Settings":
        """The same, with relative paths that start from a folder."""
        located = {
            "credentials_file": base / self.credentials_file,
            "cluster": self.cluster.located(base) if self.cluster is not None else None,
            "clusters": tuple(each.located(base) for each in self.clusters) if self.clusters is not None else None,
            "audit": self.audit.relative_to(base),
            "oauth": self.oauth.located(base) if self.oauth is not None else None,
        }
        based = self.model_copy(update=located)
        based._base = base
        return based

    def gateway_config(self) -> GatewayConfig:
        return GatewayConfig(
            listeners=self._listener_configs(),
            clusters=tuple(cluster.cluster_config() for _, cluster in self.all_clusters()),
            oauth=self.oauth.oauth_config() if self.oauth is not None else None,
            principal_mapping_rules=self.principal_mapping_rules,
            limits=self.limits.limits(),
            shutdown_grace_seconds=self.shutdown_grace_seconds,
            passthrough=self.passthrough.passthrough_config() if self.passthrough is not None else None,
            max_reauthentication_seconds=self.max_reauthentication_seconds,
        )

    def all_listeners(self) -> Listeners:
        """Every listener, with the way to its fields."""
        if self.listeners is None:
            return (((), self),)
        return tuple((("listeners", position), each) for position, each in enumerate(self.listeners))

    def all_clusters(self) -> Clusters:
        """Every cluster, in the order of the file, with the way to its fields."""
        if self.clusters is not None:
            return tuple((("clusters", position), each) for position, each in enumerate(self.clusters))
        assert self.cluster is not None, "one of the two is there, or the settings are not valid"
        return ((("cluster",), self.cluster),)

    def cluster_ids(self) -> tuple[str, ...] | None:
        """What zones may name in `spec.cluster`; None for anything."""
        ids = tuple(cluster.id for _, cluster in self.all_clusters() if cluster.id is not None)
        return ids or None

    def _listener_configs(self) -> tuple[ListenerConfig, ...]:
        offered = MECHANISMS if self.oauth is not None else tuple(m for m in MECHANISMS if m != OAUTHBEARER)
        return tuple(
            listener.listener_config(
                listener.name if isinstance(listener, NamedListener) else "default", self._base, offered
            )
            for _, listener in self.all_listeners()
        )


@dataclass(slots=True)
class _Source:
    """The file's data with the environment's laid over it, and who said what."""

    document: Document
    has_file: bool
    variables: dict[Path, str] = field(default_factory=dict)

    def problem(self, path: Path, message: str) -> Problem:
        if path in self.variables:
            return Problem(self.variables[path], None, "", message)
        if not self.has_file:
            missing = "is missing; set it, or name a settings file with --config"
            return Problem(variable_name(path), None, "", missing if message.startswith("is missing") else message)
        return self.document.problem(path, message)


def variable_name(path: Path) -> str:
    """The environment variable of a field."""
    return PREFIX + field_name(path).replace(".", "_").upper()


def setting_paths(model: type[BaseModel] = Settings, prefix: Path = ()) -> Iterator[Path]:
    """Every single field that can be set."""
    for name, info in fields_by_name(model).items():
        if name in ("listeners", "clusters"):
            continue  # how many there are is up to the file
        if (section := submodel(info.annotation)) is not None:
            yield from setting_paths(section, (*prefix, name))
        else:
            yield (*prefix, name)


def load_settings(file: FilePath | None, environment: Mapping[str, str], text: str | None = None) -> Settings:
    """The settings of a file and the environment; of the environment alone when there is no file. `text` is what the
    file held when it was read before."""
    source = _read(file, text)
    problems = list(_overlay(source, environment))
    try:
        settings = Settings.model_validate(source.document.data)
    except ValidationError as error:
        problems += [source.problem(path, message) for path, message in violations(error, Settings)]
        raise ConfigurationError(problems) from None
    base = file.parent if file else FilePath()
    problems += [source.problem(path, message) for path, message in _rule_violations(settings, base)]
    if problems:
        raise ConfigurationError(problems)
    return settings.based_on(base)


def _read(file: FilePath | None, text: str | None) -> _Source:
    if file is None:
        return _Source(Document("environment", {}), has_file=False)
    document = single_document(read_text(file, str(file)) if text is None else text, str(file))
    if document.data is None:
        document.data = {}
    if not isinstance(document.data, dict):
        raise ConfigurationError([document.problem((), "is not a settings file; write 'name: value' lines")])
    return _Source(document, has_file=True)


def _overlay(source: _Source, environment: Mapping[str, str]) -> Iterator[Problem]:
    """Puts the environment's values over the file's. A variable that is almost one of ours is a mistake."""
    known = {variable_name(path): path for path in setting_paths()}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in OTHER_VARIABLES or not value:
            continue
        if name in known:
            _put(source, known[name], name, value)
        elif meant := did_you_mean(name, known, cutoff=0.93):
            yield Problem(name, None, "", f"unknown variable; did you mean {meant}?")


def _put(source: _Source, path: Path, variable: str, value: str) -> None:
    section = source.document.data
    for step in path[:-1]:
        if not isinstance(section, dict):
            return  # the file has something else where the section belongs, and that is reported
        if section.get(step) is None:
            section[step] = {}
        section = section[step]
    if isinstance(section, dict):
        section[path[-1]] = value
        source.variables[path] = variable


def _rule_violations(settings: Settings, base: FilePath) -> Iterator[tuple[Path, str]]:
    if settings.clusters is not None and settings.cluster is not None:
        yield ("clusters",), "cannot stand beside cluster; keep one of the two"
    clusters = settings.all_clusters()
    yield from id_violations(clusters)
    for at, cluster in clusters:
        yield from cluster_violations(cluster, at)
    if settings.secured_metrics and settings.passthrough is None:
        yield ("secured_metrics",), "needs the section passthrough, whose user name and password /metrics then asks for"
    if settings.listeners is not None:
        for name in ListenerSettings.model_fields:
            if name in settings.model_fields_set:
                yield (name,), "belongs to a listener; with listeners, write it in each of them"
        yield from name_violations(settings.listeners)
    for at, listener in settings.all_listeners():
        yield from listener_violations(listener, at, base, clusters)
        if settings.oauth is None and OAUTHBEARER in (listener.sasl_mechanisms or ()):
            yield (*at, "sasl_mechanisms"), "OAUTHBEARER needs the section oauth, which says whose tokens are accepted"
    yield from port_violations(settings.all_listeners(), settings.admin_listen, clusters)
