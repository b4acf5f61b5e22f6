"""The settings of `zonegate serve`: one YAML file, and environment variables that override it.

A field's variable is ZONEGATE_ and the way to it in capitals, with `_` for every dot: `cluster.bootstrap.servers` is
ZONEGATE_CLUSTER_BOOTSTRAP_SERVERS. An empty variable counts as absent, so that a container's template may set them all.
"""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from controlplane.jaas import parse_plain_login
from controlplane.model_errors import fields_by_name, submodel, violations
from controlplane.partner_zone import RequiredText
from controlplane.problems import ConfigurationError, Path, Problem, did_you_mean, field_name
from controlplane.yaml_source import Document, read_text, single_document
from proxy.config import GatewayConfig, SecurityProtocol

PREFIX = "ZONEGATE_"
MAX_PORT = 65535

OTHER_VARIABLES = ("ZONEGATE_CONFIG", "ZONEGATE_ZONES")
"""Variables of the command line's own options."""


class HostPort(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_port(value: object) -> int:
    text = str(value)
    if isinstance(value, int | str) and text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"{value} is not a port; use a number between 1 and {MAX_PORT}")


def _parse_address(value: object) -> HostPort:
    if isinstance(value, HostPort):
        return value
    host, colon, port = str(value).strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not isinstance(value, str) or not colon or not host.strip("[]") or (":" in host and not bracketed):
        raise ValueError(f"{value!r} is not an address; write host:port, for example '0.0.0.0:9094'")
    return HostPort(host.strip("[]"), _parse_port(port))


def _parse_servers(value: object) -> tuple[HostPort, ...]:
    if not isinstance(value, str) or not value.strip(", "):
        raise ValueError(
            "needs the brokers' addresses with commas between them, for example 'broker1:9092,broker2:9092'"
        )
    return tuple(_parse_address(part) for part in value.split(",") if part.strip())


def _check_host(host: str) -> str:
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not name or any(character in "/[] " for character in name) or name.count(":") == 1:
        raise ValueError(f"{host!r} is not a host name; write the name alone, without protocol and port")
    return name


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


def _check_protocol(value: object) -> object:
    if value in ("SSL", "SASL_SSL"):
        raise ValueError(f"{value} is not supported yet; use PLAINTEXT or SASL_PLAINTEXT")
    return value


def _check_mechanism(value: object) -> object:
    if value != "PLAIN":
        raise ValueError(f"{value!r} is not supported; the mechanism towards the cluster is PLAIN")
    return value


def _check_jaas(value: SecretStr) -> SecretStr:
    parse_plain_login(value.get_secret_value())
    return value


Port = Annotated[int, BeforeValidator(_parse_port)]
Address = Annotated[HostPort, BeforeValidator(_parse_address)]
Servers = Annotated[tuple[HostPort, ...], BeforeValidator(_parse_servers)]
Number = BeforeValidator(_no_boolean)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BrokerPorts(_Section):
    """Broker N is reached at port `start` + N - `min_broker_id`."""

    start: Port = 9095
    min_broker_id: Annotated[int, Number, Field(ge=0)] = 0


class ClusterSettings(_Section):
    """The company's Kafka, under the names that Kafka's clients use."""

    id: RequiredText | None = None
    bootstrap_servers: Servers = Field(alias="bootstrap.servers", examples=["broker1:9092,broker2:9092"])
    security_protocol: Annotated[SecurityProtocol, BeforeValidator(_check_protocol)] = Field(
        default="PLAINTEXT", alias="security.protocol"
    )
    sasl_mechanism: Annotated[Literal["PLAIN"] | None, BeforeValidator(_check_mechanism)] = Field(
        default=None, alias="sasl.mechanism"
    )
    sasl_jaas_config: Annotated[SecretStr, AfterValidator(_check_jaas)] | None = Field(
        default=None, alias="sasl.jaas.config", repr=False
    )
    sasl_username: RequiredText | None = Field(default=None, alias="sasl.username")
    sasl_password: SecretStr | None = Field(default=None, alias="sasl.password", repr=False)

    def login(self) -> tuple[str | None, str | None]:
        """User name and password towards the cluster."""
        if self.sasl_jaas_config is not None:
            return parse_plain_login(self.sasl_jaas_config.get_secret_value())
        return self.sasl_username, self.sasl_password.get_secret_value() if self.sasl_password else None


class LogSettings(_Section):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section):
    listen: Address = HostPort("0.0.0.0", 9094)  # noqa: S104 - partners connect from elsewhere
    advertised_host: Annotated[str, AfterValidator(_check_host)] = Field(default_factory=socket.gethostname)
    broker_ports: BrokerPorts = BrokerPorts()
    cluster: ClusterSettings = Field(default_factory=dict, validate_default=True)
    credentials_file: FilePath = FilePath("credentials.yaml")
    admin_listen: Address = HostPort("0.0.0.0", 8888)  # noqa: S104 - so do probes and Prometheus
    shutdown_grace_seconds: Annotated[float, Number, Field(ge=0, allow_inf_nan=False)] = 10
    log: LogSettings = LogSettings()

    def gateway_config(self) -> GatewayConfig:
        username, password = self.cluster.login()
        return GatewayConfig(
            listen_host=self.listen.host,
            listen_port=self.listen.port,
            advertised_host=self.advertised_host,
            broker_ports_start=self.broker_ports.start,
            min_broker_id=self.broker_ports.min_broker_id,
            bootstrap_servers=tuple((server.host, server.port) for server in self.cluster.bootstrap_servers),
            security_protocol=self.cluster.security_protocol,
            sasl_username=username,
            sasl_password=password,
            shutdown_grace_seconds=self.shutdown_grace_seconds,
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
    yield from _login_violations(settings.cluster)
    ports = {settings.listen.port: "listen"}
    for path, port in (
        (("broker_ports", "start"), settings.broker_ports.start),
        (("admin_listen",), settings.admin_listen.port),
    ):
        if (first := ports.setdefault(port, field_name(path))) != field_name(path):
            yield path, f"port {port} is that of {first} already; use another"


def _login_violations(cluster: ClusterSettings) -> Iterator[tuple[Path, str]]:
    given = {
        "sasl.jaas.config": cluster.sasl_jaas_config is not None,
        "sasl.username": cluster.sasl_username is not None,
        "sasl.password": cluster.sasl_password is not None,
    }
    if cluster.security_protocol == "PLAINTEXT":
        for name in (name for name, is_given in given.items() if is_given):
            yield ("cluster", name), "has no effect with security.protocol PLAINTEXT; use SASL_PLAINTEXT or remove it"
        return
    if given["sasl.jaas.config"]:
        for name in ("sasl.username", "sasl.password"):
            if given[name]:
                yield ("cluster", name), "is given by sasl.jaas.config too; keep one of the two"
        return
    for name in ("sasl.username", "sasl.password"):
        if not given[name]:
            yield (
                ("cluster", name),
                "is missing; SASL_PLAINTEXT needs sasl.username and sasl.password, or sasl.jaas.config",
            )
