"""The section `oauth` of the settings: whose tokens are accepted, and where the keys are that verify them."""

from pathlib import Path as FilePath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from controlplane.partner_zone import RequiredText
from controlplane.settings_fields import Number, Section
from proxy.config import OauthConfig

MAX_CLOCK_SKEW_SECONDS = 600


def _check_source(text: str) -> str:
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and parts.hostname is not None
        has_login = "@" in parts.netloc
    except ValueError:
        fine, has_login = False, False
    if has_login:
        # not repeated: it may hold a password
        raise ValueError("holds a user name; a key set is public, so write the URL without it")
    if not fine:
        raise ValueError(f"{text!r} is neither an http or https URL nor a file's path")
    return text


class OauthSettings(Section):
    jwks: Annotated[RequiredText, AfterValidator(_check_source)] = Field(
        repr=False, examples=["https://login.example.com/.well-known/jwks.json"]
    )
    issuer: RequiredText = Field(examples=["https://login.example.com"])
    audience: RequiredText = Field(examples=["zonegate"])
    clock_skew_seconds: Annotated[float, Number, Field(ge=0, le=MAX_CLOCK_SKEW_SECONDS, allow_inf_nan=False)] = 30

    def oauth_config(self) -> OauthConfig:
        return OauthConfig(
            jwks=self.jwks, issuer=self.issuer, audience=self.audience, clock_skew_seconds=self.clock_skew_seconds
        )

    def located(self, base: FilePath) -> "OauthSettings":
        """With the path of a file as seen from the settings file's folder."""
        return self if "://" in self.jwks else self.model_copy(update={"jwks": str(base / self.jwks)})
