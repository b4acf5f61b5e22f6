"""The listeners of the settings: where partners connect, how they sign in, and how they reach each broker.

One listener is described at the top of the file; several, each with a name, under `listeners`.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from controlplane.cluster_settings import Clusters
from controlplane.partner_zone import RequiredText
from controlplane.problems import Path, field_name
from controlplane.settings_fields import MAX_PORT, Address, Host, HostPort, NotEmpty, Number, Port, Section
from proxy.config import MECHANISMS, ListenerConfig, ListenerProtocol, ListenerTls, Routing
from proxy.server_names import CLUSTER, confusable, name_of

ANY_HOST: Final = frozenset(("0.0.0.0", "::"))  # noqa: S104 - compared with, not listened on

_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII | re.IGNORECASE)

_LONGEST_ID: Final = "2147483647"
"""Broker ids are 32 bits; a pattern must leave room for the longest."""


_EXAMPLE: Final = "broker{id}.{cluster}.{advertised_host}"


def _check_mechanism(name: str) -> str:
    if name not in MECHANISMS:
        raise ValueError(f"{name!r} is not known here; use one of {', '.join(MECHANISMS)}")
    return name


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_pattern(pattern: str) -> str:
    if pattern.count("{id}") != 1:
        raise ValueError(f"{pattern!r} needs {{id}} once, where the broker's id belongs")
    example = name_of(pattern, "gateway", "cluster", _LONGEST_ID)
    if not _HOST_NAME.fullmatch(example):
        raise ValueError(f"{pattern!r} makes no host names; write one such as 'broker{{id}}.example.com'")
    return pattern


Mechanism = Annotated[str, AfterValidator(_check_mechanism)]


class BrokerPorts(Section):
    """Broker N of the k-th cluster, from 0, is reached at port `start` + k * `per_cluster` + N - `min_broker_id`."""

    start: Port = 9095
    per_cluster: Annotated[int, Number, Field(ge=1, le=MAX_PORT)] = 100
    min_broker_id: Annotated[int, Number, Field(ge=0)] = 0


class SniSettings(Section):
    """With routing sni, each broker is reached at the host name that the pattern makes, all at one port."""

    pattern: Annotated[str, AfterValidator(_check_pattern)] = "broker{id}-{advertised_host}"
    advertised_port: Port | None = None


class TlsSettings(Section):
    """The listener's PEM files. They are followed: a change is in force for new connections within a second."""

    certificate: FilePath = Field(examples=["tls.crt"])
    key: FilePath = Field(examples=["tls.key"])
    key_password: SecretStr | None = Field(default=None, repr=False)
    client_ca: FilePath | None = None
    min_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"


class ListenerSettings(Section):
    """One address where partners bootstrap."""

    listen: Address = HostPort("0.0.0.0", 9094)  # noqa: S104 - partners connect from elsewhere
    advertised_host: Host = Field(default_factory=socket.gethostname)
    broker_ports: BrokerPorts = BrokerPorts()
    security_protocol: ListenerProtocol = "SASL_PLAINTEXT"
    sasl_mechanisms: Annotated[tuple[Mechanism, ...], BeforeValidator(_split), NotEmpty] | None = None
    routing: Routing = "ports"
    sni: SniSettings = SniSettings()
    tls: TlsSettings | None = None

    def listener_config(self, name: str, base: FilePath, mechanisms: Sequence[str]) -> ListenerConfig:
        """`base` is what relative paths start from; `mechanisms` are offered unless the listener names its own."""
        return ListenerConfig(
            name=name,
            host=self.listen.host,
            port=self.listen.port,
            security_protocol=self.security_protocol,
            mechanisms=() if self.security_protocol == "SSL" else tuple(self.sasl_mechanisms or mechanisms),
            advertised_host=self.advertised_host,
            advertised_port=self.sni.advertised_port,
            routing=self.routing,
            broker_ports_start=self.broker_ports.start,
            broker_ports_per_cluster=self.broker_ports.per_cluster,
            min_broker_id=self.broker_ports.min_broker_id,
            sni_pattern=self.sni.pattern,
            tls=_listener_tls(self.tls, base) if self.tls is not None else None,
        )


class NamedListener(ListenerSettings):
    """One of several."""

    name: RequiredText = Field(examples=["internet"])


def _listener_tls(tls: TlsSettings, base: FilePath) -> ListenerTls:
    return ListenerTls(
        certificate=str(base / tls.certificate),
        key=str(base / tls.key),
        key_password=tls.key_password.get_secret_value() if tls.key_password is not None else None,
        client_ca=str(base / tls.client_ca) if tls.client_ca is not None else None,
        min_version=tls.min_version,
    )


def listener_violations(
    listener: ListenerSettings, at: Path, base: FilePath, clusters: Clusters
) -> Iterator[tuple[Path, str]]:
    """What is wrong with one listener. `at` is the way to it."""
    for path, message in (*_tls_violations(listener, base), *_routing_violations(listener, clusters)):
        yield (*at, *path), message


def _tls_violations(listener: ListenerSettings, base: FilePath) -> Iterator[tuple[Path, str]]:
    protocol, tls = listener.security_protocol, listener.tls
    if protocol == "SSL" and listener.sasl_mechanisms is not None:
        yield ("sasl_mechanisms",), "has no effect with security_protocol SSL; use SASL_SSL or remove it"
    if protocol == "SASL_PLAINTEXT":
        if tls is not None:
            yield ("tls",), "has no effect with security_protocol SASL_PLAINTEXT; use SASL_SSL or remove it"
        return
    if tls is None:
        yield ("tls",), f"is missing; {protocol} needs tls.certificate and tls.key"
        return
    if protocol == "SSL" and tls.client_ca is None:
        yield ("tls", "client_ca"), "is missing; SSL needs the certificates that clients' certificates are verified by"
    if protocol == "SASL_SSL" and tls.client_ca is not None:
        yield ("tls", "client_ca"), "has no effect with security_protocol SASL_SSL; use SSL or remove it"
    for name, file in (("certificate", tls.certificate), ("key", tls.key), ("client_ca", tls.client_ca)):
        if file is not None and not (base / file).is_file():
            yield ("tls", name), f"{base / file} does not exist or is no file"


def _routing_violations(listener: ListenerSettings, clusters: Clusters) -> Iterator[tuple[Path, str]]:
    given = listener.model_fields_set
    if listener.routing == "ports":
        if "sni" in given:
            yield ("sni",), "has no effect with routing ports; use routing sni or remove it"
        yield from _range_violations(listener.broker_ports, len(clusters))
        return
    if listener.security_protocol == "SASL_PLAINTEXT":
        yield ("routing",), "sni needs TLS; use security_protocol SASL_SSL or SSL, or routing ports"
    if "broker_ports" in given:
        yield ("broker_ports",), "has no effect with routing sni; use routing ports or remove it"
    yield from _name_violations(listener.advertised_host, listener.sni.pattern, [each.id for _, each in clusters])


def _range_violations(ports: BrokerPorts, clusters: int) -> Iterator[tuple[Path, str]]:
    last = _first_port(ports, clusters - 1)
    if last > MAX_PORT:
        message = f"leaves no ports for the last of {clusters} clusters, whose first would be {last}; use less"
        yield ("broker_ports", "per_cluster"), message


def _first_port(ports: BrokerPorts, position: int) -> int:
    """Where the ports of the cluster at this position begin."""
    return ports.start + position * ports.per_cluster


def _name_violations(host: str, pattern: str, clusters: Sequence[str | None]) -> Iterator[tuple[Path, str]]:
    if not is_host_name(host):
        yield (
            ("advertised_host",),
            f"{host!r} is not a host name, and clients name nothing else to the server; sni needs one",
        )
        return
    at: Path = ("sni", "pattern")
    if CLUSTER not in pattern and len(clusters) > 1:
        yield at, f"{pattern!r} needs {CLUSTER}, since there are several clusters; write one such as {_EXAMPLE!r}"
        return
    if CLUSTER in pattern and None in clusters:
        yield at, f"{pattern!r} holds {CLUSTER}, and the cluster has no id; set cluster.id"
        return
    ids = [cluster or "" for cluster in clusters]
    for cluster in ids:
        yield from ((at, message) for message in _cluster_name_violations(host, pattern, cluster))
    if (both := confusable(pattern, host, ids)) is not None:
        yield (
            at,
            f"{pattern!r} makes the same name for brokers of clusters {both[0]!r} and {both[1]!r}; "
            f"set {CLUSTER} apart from {{id}} by a dot, or choose other ids",
        )


def _cluster_name_violations(host: str, pattern: str, cluster: str) -> Iterator[str]:
    of_cluster = f" and cluster {cluster!r}" if CLUSTER in pattern else ""
    if not _HOST_NAME.fullmatch(name_of(pattern, host, cluster, _LONGEST_ID)):
        yield f"{pattern!r} makes no host names with advertised_host {host!r}{of_cluster}"
    before, _, behind = name_of(pattern, host, cluster, "\0").lower().partition("\0")
    if re.fullmatch(rf"{re.escape(before)}[0-9]+{re.escape(behind)}", host.lower(), re.ASCII):
        yield f"{pattern!r} makes advertised_host {host!r} a broker's name; it must differ from all"


def is_host_name(text: str) -> bool:
    """Whether a TLS client would name it to the server: clients don't do that with addresses."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return False


Listeners = Sequence[tuple[Path, ListenerSettings]]
"""Each with the way to it: empty for the one at the top of the file."""


def port_violations(listeners: Listeners, admin: HostPort, clusters: Clusters) -> Iterator[tuple[Path, str]]:
    """Ports that two want, as far as is known before the brokers' ids are."""
    taken: list[tuple[HostPort, Path]] = []
    for path, address in _addresses(listeners, admin, len(clusters)):
        first = next((name for other, name in taken if _collide(address, other)), None)
        if first is not None:
            yield path, f"port {address.port} is that of {field_name(first)} already; use another"
        taken.append((address, path))


def _addresses(listeners: Listeners, admin: HostPort, clusters: int) -> Iterator[tuple[Path, HostPort]]:
    for at, listener in listeners:
        yield (*at, "listen"), listener.listen
    for at, listener in listeners:
        for position in range(clusters if listener.routing == "ports" else 0):
            setting = "per_cluster" if position else "start"
            port = _first_port(listener.broker_ports, position)
            yield (*at, "broker_ports", setting), HostPort(listener.listen.host, port)
    yield ("admin_listen",), admin


def _collide(one: HostPort, other: HostPort) -> bool:
    return one.port == other.port and (one.host == other.host or bool(ANY_HOST & {one.host, other.host}))


def name_violations(listeners: Sequence[NamedListener]) -> Iterator[tuple[Path, str]]:
    """Names that are used twice."""
    seen: dict[str, int] = {}
    for position, listener in enumerate(listeners):
        if seen.setdefault(listener.name, position) != position:
            first = seen[listener.name]
            yield (
                ("listeners", position, "name"),
                f"{listener.name!r} is that of listeners[{first}] already; use another",
            )
