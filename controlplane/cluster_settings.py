"""The company's Kafka clusters in the settings, under the names that Kafka's clients use: one in the section `cluster`,
or several, each with an id, in the list `clusters`.

Files of TLS are PEM, hence librdkafka's names for them. Nothing is read here: `zonegate credentials` takes the same
settings where those files may not be at hand.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from controlplane.jaas import Login, parse_login
from controlplane.partner_zone import RequiredText
from controlplane.problems import Path, field_name
from controlplane.settings_fields import Section, Servers
from proxy.config import ClusterConfig, ClusterMechanism, ClusterProtocol


def _check_jaas(value: SecretStr) -> SecretStr:
    parse_login(value.get_secret_value())
    return value


def _check_path(value: object) -> object:
    if value == "":
        raise ValueError("is empty; write the path of a PEM file, or remove the field")
    return value


_CLUSTER_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,63}", re.ASCII)
"""A label of a host name is no longer."""


def _check_cluster_id(text: str) -> str:
    if not _CLUSTER_ID.fullmatch(text):
        raise ValueError(f"{text!r} is not a cluster's id; use 1 to 63 of a-z, A-Z, 0-9, '_' and '-'")
    return text


PemFile = Annotated[FilePath, BeforeValidator(_check_path)]


class ClusterSettings(Section):
    """One Kafka cluster."""

    id: RequiredText | None = None
    bootstrap_servers: Servers = Field(alias="bootstrap.servers", examples=["broker1:9092,broker2:9092"])
    security_protocol: ClusterProtocol = Field(default="PLAINTEXT", alias="security.protocol")
    sasl_mechanism: ClusterMechanism | None = Field(default=None, alias="sasl.mechanism")
    sasl_jaas_config: Annotated[SecretStr, AfterValidator(_check_jaas)] | None = Field(
        default=None, alias="sasl.jaas.config", repr=False
    )
    sasl_username: RequiredText | None = Field(default=None, alias="sasl.username")
    sasl_password: SecretStr | None = Field(default=None, alias="sasl.password", repr=False)
    ssl_ca_location: PemFile | None = Field(default=None, alias="ssl.ca.location")
    ssl_certificate_location: PemFile | None = Field(default=None, alias="ssl.certificate.location")
    ssl_key_location: PemFile | None = Field(default=None, alias="ssl.key.location")
    ssl_key_password: SecretStr | None = Field(default=None, alias="ssl.key.password", repr=False)
    ssl_endpoint_identification_algorithm: Literal["https", "none", ""] | None = Field(
        default=None, alias="ssl.endpoint.identification.algorithm"
    )

    def located(self, base: FilePath) -> Self:
        """The same with every path taken from this folder."""
        names = ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
        paths = {name: base / path for name in names if (path := getattr(self, name)) is not None}
        return self.model_copy(update=paths)

    def cluster_config(self) -> ClusterConfig:
        login = self.login()
        return ClusterConfig(
            id=self.id or "",
            bootstrap_servers=tuple((server.host, server.port) for server in self.bootstrap_servers),
            security_protocol=self.security_protocol,
            mechanism=self.sasl_mechanism or "PLAIN",
            username=login.username if login else None,
            password=login.password if login else None,
            ca=_text(self.ssl_ca_location),
            certificate=_text(self.ssl_certificate_location),
            key=_text(self.ssl_key_location),
            key_password=self.ssl_key_password.get_secret_value() if self.ssl_key_password else None,
            verify_host=self.ssl_endpoint_identification_algorithm in (None, "https"),
        )

    def login(self) -> Login | None:
        """User name and password towards the cluster."""
        if self.sasl_jaas_config is not None:
            return parse_login(self.sasl_jaas_config.get_secret_value())
        if self.sasl_username is None or self.sasl_password is None:
            return None
        return Login(self.sasl_username, self.sasl_password.get_secret_value())


class NamedCluster(ClusterSettings):
    """One of several."""

    id: Annotated[str, AfterValidator(_check_cluster_id)] = Field(examples=["partner1"])


Clusters = Sequence[tuple[Path, ClusterSettings]]
"""Each with the way to it."""


def _text(path: FilePath | None) -> str | None:
    return None if path is None else str(path)


def id_violations(clusters: Clusters) -> Iterator[tuple[Path, str]]:
    """Ids that are used twice."""
    seen: dict[str | None, Path] = {}
    for at, cluster in clusters:
        first = seen.setdefault(cluster.id, at)
        if first != at:
            yield (*at, "id"), f"{cluster.id!r} is that of {field_name(first)} already; use another"


def cluster_violations(cluster: ClusterSettings, at: Path) -> Iterator[tuple[Path, str]]:
    """What contradicts itself, or would have no effect. `at` is the way to it."""
    for name, message in _violations(cluster):
        yield (*at, name), message


def _violations(cluster: ClusterSettings) -> Iterator[tuple[str, str]]:
    protocol = cluster.security_protocol
    given = [alias for alias, value in cluster.model_dump(by_alias=True).items() if value is not None]
    with_sasl, with_tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    for name in given:
        better = _protocol_for(name, with_sasl, with_tls)
        if better is not None:
            yield name, f"has no effect with security.protocol {protocol}; use {better} or remove it"
    if with_sasl:
        yield from _login_violations(cluster, given)
    if with_tls:
        yield from _certificate_violations(given)


def _protocol_for(name: str, with_sasl: bool, with_tls: bool) -> str | None:
    """With which protocol a setting would have an effect, when it has none."""
    if name.startswith("sasl.") and not with_sasl:
        return "SASL_SSL" if with_tls else "SASL_PLAINTEXT"
    if name.startswith("ssl.") and not with_tls:
        return "SASL_SSL" if with_sasl else "SSL"
    return None


def _login_violations(cluster: ClusterSettings, given: list[str]) -> Iterator[tuple[str, str]]:
    if "sasl.jaas.config" in given:
        for name in ("sasl.username", "sasl.password"):
            if name in given:
                yield name, "is given by sasl.jaas.config too; keep one of the two"
        yield from _module_violations(cluster)
        return
    protocol = cluster.security_protocol
    for name in ("sasl.username", "sasl.password"):
        if name not in given:
            needs = f"{protocol} needs sasl.username and sasl.password, or sasl.jaas.config"
            yield name, f"is missing; {needs}"


def _module_violations(cluster: ClusterSettings) -> Iterator[tuple[str, str]]:
    login, mechanism = cluster.login(), cluster.sasl_mechanism or "PLAIN"
    assert login is not None
    if login.scram and mechanism == "PLAIN":
        message = "is a login for SCRAM; set sasl.mechanism to SCRAM-SHA-256 or SCRAM-SHA-512"
        yield "sasl.jaas.config", message
    elif not login.scram and mechanism != "PLAIN":
        message = f"is a login for PLAIN, and sasl.mechanism is {mechanism}; change one of the two"
        yield "sasl.jaas.config", message


def _certificate_violations(given: list[str]) -> Iterator[tuple[str, str]]:
    certificate, key = "ssl.certificate.location", "ssl.key.location"
    if certificate in given and key not in given:
        yield key, f"is missing; the certificate of {certificate} needs its key"
    if key in given and certificate not in given:
        yield certificate, f"is missing; the key of {key} needs its certificate"
    if "ssl.key.password" in given and key not in given:
        yield "ssl.key.password", f"has no effect without {key}; remove it"
