"""`zonegate credentials` on a credentials file, for gateways that have their zones from a folder."""

import os
from collections.abc import Sequence
from pathlib import Path
from time import time

import typer

from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.commands.credential_output import (
    Row,
    explain_credential,
    print_credentials,
    tell_ended,
    tell_revoked,
)
from controlplane.commands.manifest_sources import find_zone
from controlplane.commands.output import Format
from controlplane.credential_file import generate_credential, load_credentials, revoke_credentials
from controlplane.last_used import forget_last_used, read_last_used
from controlplane.manifests import load_partner_zones
from controlplane.settings import load_settings
from controlplane.terminal import EXIT_CONFIGURATION, fail
from controlplane.times import format_unix_time, parse_duration
from policies.credentials import Credential


def generate(file: Path, zones: Path | None, zone: str, expires_in: str) -> None:
    validity = parse_duration(expires_in)
    resource = find_zone(zone, load_partner_zones(zones)) if zones is not None else None
    if resource is not None and resource.mode != "PLAIN":
        fail(f"zone {zone!r} has no passwords: {NO_PASSWORDS[resource.mode]}", EXIT_CONFIGURATION)
    credential, password = generate_credential(file, zone, validity)
    typer.echo(password)
    account = resource.spec.service_account if resource else "the zone's service account"
    expires = format_unix_time(credential.expires) if credential.expires is not None else None
    explain_credential(credential.id, zone, str(account), expires, str(file))


def show(file: Path, zones: Path | None, zone: str | None, output: Format) -> None:
    resources = load_partner_zones(zones) if zones is not None else None
    found = load_credentials(file)
    if zone is not None:
        if resources is not None and all(each.zone != zone for each in found):
            find_zone(zone, resources)
        found = [each for each in found if each.zone == zone]
    names = {resource.metadata.name for resource in resources} if resources is not None else None
    last_used, now = read_last_used(file), time()
    print_credentials([_row(each, last_used.get(each.id), names, now) for each in found], output)


def revoke(file: Path, ids: Sequence[str]) -> None:
    revoked = revoke_credentials(file, ids)
    forget_last_used(file, ids)
    for credential in revoked:
        tell_revoked(credential.id, credential.zone)
    tell_ended()


def configured_file(config: Path | None) -> Path:
    return load_settings(config, os.environ).credentials_file


def _row(credential: Credential, last_used: str | None, zones: set[str] | None, now: float) -> Row:
    if not credential.valid_at(now):
        state = "expired"
    elif zones is not None and credential.zone not in zones:
        state = "unknown zone"
    else:
        state = "valid"
    return {
        "id": credential.id,
        "zone": credential.zone,
        "created": credential.created,
        "expires": format_unix_time(credential.expires) if credential.expires is not None else None,
        "last_used": last_used,
        "state": state,
    }
