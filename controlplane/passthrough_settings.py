"""The section `passthrough` of the settings: the admin who may see the cluster itself through the gateway."""

from pydantic import Field

from controlplane.settings_fields import Password, Section, UserName
from proxy.config import PassthroughConfig


class PassthroughSettings(Section):
    """Without this section nobody sees the cluster itself. Tokens are signed with a key made from the password."""

    username: UserName = Field(examples=["admin"])
    password: Password = Field(repr=False)

    def passthrough_config(self) -> PassthroughConfig:
        return PassthroughConfig(username=self.username, password=self.password.get_secret_value())
