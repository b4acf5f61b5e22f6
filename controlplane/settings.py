"""The settings of `zonegate serve`: one YAML file, and environment variables that override it.

A field's variable is ZONEGATE_ and the way to it in capitals, with `_` for every dot: `cluster.bootstrap.servers` is
ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS. An empty variable counts as absent, so that a container's template may set them all.
"""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from controlplane.cluster_settings import ClusterSettings, login_violations
from controlplane.limit_settings import LimitSettings
from controlplane.model_errors import fields_by_name, submodel, violations
from controlplane.problems import ConfigurationError, Path, Problem, did_you_mean, field_name
from controlplane.settings_fields import Address, Host, HostPort, Number, Port, Section
from controlplane.yaml_source import Document, read_text, single_document
from proxy.config import GatewayConfig, ListenerConfig

PREFIX = "ZONEGATE_"

OTHER_VARIABLES = ("ZONEGATE_CONFIG", "ZONEGATE_ZONES")
"""Variables of the command line's own options."""


class BrokerPorts(Section):
    """Broker N is reached at port `start` + N - `min_broker_id`."""

    start: Port = 9095
    min_broker_id: Annotated[int, Number, Field(ge=0)] = 0


class LogSettings(Section):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    listen: Address = HostPort("0.0.0.0", 9094)  # noqa: S104 - partners connect from elsewhere
    advertised_host: Host = Field(default_factory=socket.gethostname)
    broker_ports: BrokerPorts = BrokerPorts()
    cluster: ClusterSettings = Field(default_factory=dict, validate_default=True)
    credentials_file: FilePath = FilePath("credentials.yaml")
    admin_listen: Address = HostPort("0.0.0.0", 8888)  # noqa: S104 - so do probes and Prometheus
    shutdown_grace_seconds: Annotated[float, Number, Field(ge=0, allow_inf_nan=False)] = 10
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()

    def gateway_config(self) -> GatewayConfig:
        return GatewayConfig(
            listeners=(self._listener(),),
            cluster=self.cluster.cluster_config(),
            limits=self.limits.limits(),
            shutdown_grace_seconds=self.shutdown_grace_seconds,
        )

    def _listener(self) -> ListenerConfig:
        return ListenerConfig(
            host=self.listen.host,
            port=self.listen.port,
            advertised_host=self.advertised_host,
            broker_ports_start=self.broker_ports.start,
            min_broker_id=self.broker_ports.min_broker_id,
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
        if (section := submodel(info.annotation)) is not None:
            yield from setting_paths(section, (*prefix, name))
        else:
            yield (*prefix, name)


def load_settings(file: FilePath | None, environment: Mapping[str, str]) -> Settings:
    """The settings of a file and the environment; of the environment alone when there is no file."""
    source = _read(file)
    problems = list(_overlay(source, environment))
    try:
        settings = Settings.model_validate(source.document.data)
    except ValidationError as error:
        problems += [source.problem(path, message) for path, message in violations(error, Settings)]
        raise ConfigurationError(problems) from None
    problems += [source.problem(path, message) for path, message in _rule_violations(settings)]
    if problems:
        raise ConfigurationError(problems)
    base = file.parent if file else FilePath()
    return settings.model_copy(update={"credentials_file": base / settings.credentials_file})


def _read(file: FilePath | None) -> _Source:
    if file is None:
        return _Source(Document("environment", {}), has_file=False)
    document = single_document(read_text(file, str(file)), str(file))
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


def _rule_violations(settings: Settings) -> Iterator[tuple[Path, str]]:
    yield from login_violations(settings.cluster)
    ports = {settings.listen.port: "listen"}
    for path, port in (
        (("broker_ports", "start"), settings.broker_ports.start),
        (("admin_listen",), settings.admin_listen.port),
    ):
        if (first := ports.setdefault(port, field_name(path))) != field_name(path):
            yield path, f"port {port} is that of {first} already; use another"
