"""What sections of the settings are made of: kinds of values, with their complaints."""

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from policies.principal_mapping import PrincipalMapper

MAX_PORT = 65535

MIN_PASSWORD = 16
"""Characters of an admin's: whoever has something that is signed with a key made from it can try passwords at home."""

_USERNAME = re.compile(r"[a-zA-Z0-9_.@-]{1,64}", re.ASCII)


class HostPort(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_port(value: object) -> int:
    text = str(value)
    if isinstance(value, int | str) and text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ValueError(f"{value} is not a port; use a number between 1 and {MAX_PORT}")


def parse_address(value: object) -> HostPort:
    if isinstance(value, HostPort):
        return value
    host, colon, port = str(value).strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not isinstance(value, str) or not colon or not host.strip("[]") or (":" in host and not bracketed):
        raise ValueError(f"{value!r} is not an address; write host:port, for example '0.0.0.0:9094'")
    return HostPort(host.strip("[]"), parse_port(port))


def _parse_servers(value: object) -> tuple[HostPort, ...]:
    if not isinstance(value, str) or not value.strip(", "):
        raise ValueError(
            "needs the brokers' addresses with commas between them, for example 'broker1:9092,broker2:9092'"
        )
    return tuple(parse_address(part) for part in value.split(",") if part.strip())


def check_host(host: str) -> str:
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not name or any(character in "/[] " for character in name) or name.count(":") == 1:
        raise ValueError(f"{host!r} is not a host name; write the name alone, without protocol and port")
    return name


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


def _check_entries(entries: tuple[object, ...]) -> tuple[object, ...]:
    if not entries:
        raise ValueError("needs at least one entry")
    return entries


NotEmpty = AfterValidator(_check_entries)


def check_mapping_rules(rules: str) -> str:
    if not PrincipalMapper(rules):
        raise ValueError("holds no rule, so that no certificate would name anybody; write DEFAULT or a RULE")
    return rules


def _check_username(name: str) -> str:
    if not _USERNAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a user name; use 1 to 64 letters, digits, '_', '.', '@' and '-'")
    return name


def _check_password(password: SecretStr) -> SecretStr:
    length = len(password.get_secret_value())
    if length < MIN_PASSWORD:
        raise ValueError(f"has {length} characters; use at least {MIN_PASSWORD}, for example 'openssl rand -base64 24'")
    return password


UserName = Annotated[str, AfterValidator(_check_username)]
Password = Annotated[SecretStr, AfterValidator(_check_password)]
Port = Annotated[int, BeforeValidator(parse_port)]
Address = Annotated[HostPort, BeforeValidator(parse_address)]
Servers = Annotated[tuple[HostPort, ...], BeforeValidator(_parse_servers)]
Host = Annotated[str, AfterValidator(check_host)]
MappingRules = Annotated[str, AfterValidator(check_mapping_rules)]
Number = BeforeValidator(_no_boolean)


MIN_REAUTHENTICATION_SECONDS = 2.0
"""Clients sign in again after 85 to 95 % of the time, and may not do so within a second of the last time."""


def _check_reauthentication(seconds: float) -> float:
    if 0 < seconds < MIN_REAUTHENTICATION_SECONDS:
        raise ValueError(
            f"{seconds:g} is too short for clients to follow; use {MIN_REAUTHENTICATION_SECONDS:g} or more, or 0"
        )
    return seconds


Reauthentication = Annotated[float, Number, Field(ge=0, allow_inf_nan=False), AfterValidator(_check_reauthentication)]


MAX_WORKERS = 128
"""More than the processors of any machine this runs on: a slip of the hand must not start thousands of processes."""

Workers = Annotated[int, Number, Field(ge=1, le=MAX_WORKERS)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
