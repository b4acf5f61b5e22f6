"""The section `console` of the settings, and where the desired state is kept."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr

from controlplane.settings_fields import Address, HostPort, Password, Section, UserName
from policies.names import STATE_TOPICS, check_topic_name

MIN_API_KEY: Final = 16
"""Characters. Whoever has it can share every topic that the gateway can read."""


def _check_state_topic(name: str) -> str:
    if reason := check_topic_name(name):
        raise ValueError(reason)
    if not name.startswith(STATE_TOPICS):
        raise ValueError(f"{name!r} must begin with {STATE_TOPICS}, so that no zone can share it")
    return name


def _check_api_key(key: SecretStr) -> SecretStr:
    length = len(key.get_secret_value())
    if length < MIN_API_KEY:
        raise ValueError(f"has {length} characters; use at least {MIN_API_KEY}, for example 'openssl rand -hex 24'")
    if not key.get_secret_value().isascii() or not key.get_secret_value().isprintable():
        raise ValueError("must be printable ASCII, since it travels in an HTTP header")
    return key


StateTopicName = Annotated[str, AfterValidator(_check_state_topic)]


class ConsoleAdmin(Section):
    """Who signs in to the console's pages with a password."""

    username: UserName = Field(examples=["admin"])
    password: Password = Field(repr=False)


class ConsoleSettings(Section):
    """Where the REST API and the pages are, and who gets in to begin with."""

    listen: Address = HostPort("0.0.0.0", 8080)  # noqa: S104 - so do people and their tools
    api_key: Annotated[SecretStr, AfterValidator(_check_api_key)] | None = Field(default=None, repr=False)
    admin: ConsoleAdmin | None = None
