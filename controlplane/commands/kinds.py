"""The kinds of resources that the command line knows, as people spell them."""

from typing import Annotated

import typer

from controlplane.terminal import EXIT_CONFIGURATION, fail

PARTNER_ZONE = "PartnerZone"
_SPELLINGS = ("partnerzone", "pz")

KIND_HELP = "PartnerZone, in upper or lower case; or pz."

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help=KIND_HELP)]


def check_kind(text: str) -> None:
    """Ends the command when it is none."""
    if text.lower() not in _SPELLINGS:
        fail(f"{text!r} is not known here; the only kind is {PARTNER_ZONE}", EXIT_CONFIGURATION)


def resource_name(name: object) -> str:
    return f"{PARTNER_ZONE}/{name}"
