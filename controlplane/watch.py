"""Follows the zones folder and the credentials file. A broken edit is reported, and changes nothing.

The two are followed apart: a credential is revoked at once even while a manifest is broken.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import Generic, TypeVar

from controlplane.authentication_modes import NO_PASSWORDS
from controlplane.credential_file import load_credentials
from controlplane.manifests import load_partner_zones, manifest_files
from controlplane.problems import ConfigurationError, Problem
from policies.credentials import Credential
from policies.zone import AuthenticationMode, Zone

T = TypeVar("T")

logger = logging.getLogger("zonegate.configuration")

Signature = tuple[object, ...]


def file_signature(file: FilePath) -> Signature:
    """Changes whenever the file does, also when it is replaced by one of the same size and time."""
    try:
        status = file.stat()
    except OSError:
        return (file.name, None)
    return (file.name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def folder_signature(folder: FilePath) -> Signature:
    """Changes whenever a manifest of the folder does."""
    try:
        return tuple(file_signature(file) for file in manifest_files(folder))
    except OSError:
        return (folder.name, None)


class Followed(Generic[T]):
    """A value loaded from files: the last good one, from `load_first` on."""

    value: T

    def __init__(self, what: str, signature: Callable[[], Signature], load: Callable[[], T]) -> None:
        self._what = what
        self._signature = signature
        self._load = load
        self._seen: Signature = ()

    def load_first(self, missing: T | None = None) -> None:
        """Loads what must be good to begin with. `missing`, when given, stands for a file that is not there yet."""
        self._seen = self._signature()
        self.value = missing if missing is not None and None in self._seen else self._load()

    def refresh(self) -> bool:
        """Loads what changed since the last look; True when there is a new good value."""
        signature = self._signature()
        if signature == self._seen:
            return False
        self._seen = signature  # taken before loading: an edit during it is found by the next look
        try:
            self.value = self._load()
        except ConfigurationError as error:
            for problem in error.problems:
                logger.error("%s", problem, extra={"event": f"{self._what}_refused"})
            logger.error(
                "the change of the %s is not in force; the last good state stays", self._what, extra={"event": "kept"}
            )
            return False
        return True


class DesiredState:
    """The zones and credentials to serve, and the files that they come from.

    The first load raises ConfigurationError; later ones log it.
    """

    zones: Sequence[Zone] = ()
    credentials: Sequence[Credential] = ()
    """What an edit has not changed are the same objects as before, so that whoever compares is done at once."""

    def __init__(
        self,
        zones_dir: FilePath,
        credentials_file: FilePath,
        cluster_ids: tuple[str, ...] | None,
        admin: str | None = None,
        unusable_modes: Mapping[AuthenticationMode, str] = MappingProxyType({}),
    ) -> None:
        """`unusable_modes` says of modes in which nobody can sign in what they lack."""
        self._unusable_modes = unusable_modes
        self._zones = Followed(
            "zones", lambda: folder_signature(zones_dir), lambda: load_partner_zones(zones_dir, cluster_ids, admin)
        )
        self._credentials = Followed(
            "credentials", lambda: file_signature(credentials_file), lambda: load_credentials(credentials_file)
        )
        self._credentials_file = credentials_file
        self._warned: set[tuple[str, str]] = set()
        self._load_first()

    def refresh(self) -> bool:
        """Reads what changed; True when there is something new to apply. Reads files: not for the event loop."""
        zones_changed, credentials_changed = self._zones.refresh(), self._credentials.refresh()
        if zones_changed or credentials_changed:
            self._compile()
        return zones_changed or credentials_changed

    def report(self) -> None:
        """Logs what is in force, and what somebody may expect of it in vain."""
        resources, credentials = self._zones.value, self.credentials
        logger.info(
            "configuration loaded",
            extra={"event": "configuration_loaded", "zones": len(resources), "credentials": len(credentials)},
        )
        if not credentials and not (resources and all(resource.mode != "PLAIN" for resource in resources)):
            message = "%s holds no credential, so no partner can log in; 'zonegate credentials generate ZONE' adds one"
            logger.warning(message, self._credentials_file, extra={"event": "no_credentials"})
        for zone, message, extra in self._in_vain:
            self._warn(zone, message, **extra)

    def _find_in_vain(self) -> Iterator[tuple[str, str, Mapping[str, str]]]:
        """What somebody may expect of a zone in vain: its name, what to say, and more for the log line."""
        modes = {zone.name: zone.authentication for zone in self.zones}
        for credential in self.credentials:
            if credential.zone not in modes:
                yield credential.zone, "has a credential, but there is no such zone", {"credential": credential.id}
            elif (mode := modes[credential.zone]) != "PLAIN":
                message = f"has a credential, but its mode is {mode}: {NO_PASSWORDS[mode]}"
                yield credential.zone, message, {"credential": credential.id}
        for resource in self._zones.value:
            name = resource.metadata.name
            if (missing := self._unusable_modes.get(resource.mode)) is not None:
                yield name, f"lets nobody in: its mode is {resource.mode}, and {missing}", {}
            for field in resource.not_enforced():
                yield name, f"sets {field}, which this version does not enforce yet", {}

    def _warn(self, zone: str, message: str, **extra: str) -> None:
        """Once for each zone and message: edits of other zones do not repeat it."""
        if (zone, message) not in self._warned:
            self._warned.add((zone, message))
            logger.warning("zone %s %s", zone, message, extra={"event": "zone_warning", "zone": zone, **extra})

    def _load_first(self) -> None:
        problems: list[Problem] = []
        try:
            self._zones.load_first()
        except ConfigurationError as error:
            problems += error.problems
        try:
            self._credentials.load_first(missing=[])
        except ConfigurationError as error:
            problems += error.problems
        if problems:
            raise ConfigurationError(problems)
        self._compile()

    def _compile(self) -> None:
        zones = {resource.metadata.name: resource.to_zone() for resource in self._zones.value}
        self.zones = _kept({zone.name: zone for zone in self.zones}, zones)
        credentials = {credential.id: credential for credential in self._credentials.value}
        self.credentials = _kept({credential.id: credential for credential in self.credentials}, credentials)
        self._in_vain = list(self._find_in_vain())


def _kept(before: Mapping[str, T], now: Mapping[str, T]) -> list[T]:
    """What is there now, in its order; of what is as before, the object from before."""
    return [before[name] if name in before and before[name] == each else each for name, each in now.items()]
