"""The section `cluster` of the settings: the company's Kafka, under the names that Kafka's clients use."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from controlplane.jaas import parse_plain_login
from controlplane.partner_zone import RequiredText
from controlplane.problems import Path
from controlplane.settings_fields import Section, Servers
from proxy.config import ClusterConfig, ClusterProtocol


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


class ClusterSettings(Section):
    """The company's Kafka, under the names that Kafka's clients use."""

    id: RequiredText | None = None
    bootstrap_servers: Servers = Field(alias="bootstrap.servers", examples=["broker1:9092,broker2:9092"])
    security_protocol: Annotated[ClusterProtocol, BeforeValidator(_check_protocol)] = Field(
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

    def cluster_config(self) -> ClusterConfig:
        username, password = self.login()
        return ClusterConfig(
            bootstrap_servers=tuple((server.host, server.port) for server in self.bootstrap_servers),
            security_protocol=self.security_protocol,
            username=username,
            password=password,
        )

    def login(self) -> tuple[str | None, str | None]:
        """User name and password towards the cluster."""
        if self.sasl_jaas_config is not None:
            return parse_plain_login(self.sasl_jaas_config.get_secret_value())
        return self.sasl_username, self.sasl_password.get_secret_value() if self.sasl_password else None


def login_violations(cluster: ClusterSettings) -> Iterator[tuple[Path, str]]:
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
