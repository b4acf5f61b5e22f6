"""The section `passthrough` of the settings: the admin who may see the cluster itself through the gateway."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from controlplane.settings_fields import Section
from proxy.config import PassthroughConfig

MIN_PASSWORD = 16
"""Characters. Tokens are signed with a key made from it, so whoever has one can try passwords at home."""

_USERNAME = re.compile(r"[a-zA-Z0-9_.@-]{1,64}", re.ASCII)


def _check_username(name: str) -> str:
    if not _USERNAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a user name; use 1 to 64 letters, digits, '_', '.', '@' and '-'")
    return name


def _check_password(password: SecretStr) -> SecretStr:
    length = len(password.get_secret_value())
    if length < MIN_PASSWORD:
        raise ValueError(f"has {length} characters; use at least {MIN_PASSWORD}, for example 'openssl rand -base64 24'")
    return password


class PassthroughSettings(Section):
    """Without this section nobody sees the cluster itself."""

    username: Annotated[str, AfterValidator(_check_username)] = Field(examples=["admin"])
    password: Annotated[SecretStr, AfterValidator(_check_password)] = Field(repr=False)

    def passthrough_config(self) -> PassthroughConfig:
        return PassthroughConfig(username=self.username, password=self.password.get_secret_value())
