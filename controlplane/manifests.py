"""PartnerZone manifests: a folder of YAML files, several documents each, and the rules that hold between zones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydantic import ValidationError

from controlplane.model_errors import violations
from controlplane.partner_zone import KIND, PartnerZone, rule_violations
from controlplane.problems import ConfigurationError, Path, Problem
from controlplane.yaml_source import Document, read_documents
from policies.zone import Zone

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A PartnerZone and the document that it came from."""

    document: Document
    resource: PartnerZone


def manifest_files(directory: FilePath) -> list[FilePath]:
    """The YAML files of a folder, without those in folders below it and without hidden ones (editors' own files)."""
    return sorted(entry for entry in directory.iterdir() if entry.suffix in SUFFIXES and not entry.name.startswith("."))


def load_partner_zones(
    directory: FilePath, cluster_ids: tuple[str, ...] | None = None, admin: str | None = None
) -> list[PartnerZone]:
    """Every zone of a folder. All that is wrong in any of its files is raised as one ConfigurationError.

    `cluster_ids` and `admin` are the clusters and the user of `passthrough` that are configured, where these are known.
    """
    try:
        files = manifest_files(directory)
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name a folder that holds PartnerZone manifests"
        raise ConfigurationError([Problem(str(directory), None, "", message)]) from None
    problems: list[Problem] = []
    manifests: list[Manifest] = []
    for file in files:
        try:
            documents = read_documents(file)
        except ConfigurationError as error:
            problems += error.problems
            continue
        read, found = check_manifests(documents, cluster_ids)
        manifests += read
        problems += found
    problems += conflicts(manifests)
    problems += _admins(manifests, admin)
    if problems:
        raise ConfigurationError(problems)
    return [manifest.resource for manifest in manifests]


def check_manifests(
    documents: Iterable[Document], cluster_ids: tuple[str, ...] | None = None
) -> tuple[list[Manifest], list[Problem]]:
    """The resources of documents, and what is wrong with each for itself."""
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for document in documents:
        manifest, found = _read_manifest(document, cluster_ids)
        problems += found
        if manifest is not None:
            manifests.append(manifest)
    return manifests, problems


def load_zones(directory: FilePath, cluster_ids: tuple[str, ...] | None = None) -> list[Zone]:
    """Every zone of a folder, as the data plane needs it."""
    return [resource.to_zone() for resource in load_partner_zones(directory, cluster_ids)]


def _read_manifest(
    document: Document, cluster_ids: tuple[str, ...] | None
) -> tuple[Manifest | None, Sequence[Problem]]:
    data = document.data
    if not isinstance(data, dict):
        return None, [document.problem((), f"is not a manifest; write apiVersion, kind: {KIND}, metadata and spec")]
    kind = data.get("kind", KIND)
    if kind != KIND:
        return None, [document.problem(("kind",), f"{kind!r} is not known here; the only kind is {KIND}")]
    try:
        resource = PartnerZone.model_validate(data)
    except ValidationError as error:
        return None, [document.problem(path, message) for path, message in violations(error, PartnerZone)]
    found = [document.problem(path, message) for path, message in rule_violations(resource, cluster_ids)]
    return Manifest(document, resource), found


def conflicts(manifests: Sequence[Manifest]) -> Iterator[Problem]:
    """What two zones may not share."""
    names: dict[str, Manifest] = {}
    accounts: dict[str, Manifest] = {}
    for manifest in manifests:
        resource = manifest.resource
        first = names.setdefault(resource.metadata.name, manifest)
        if first is not manifest:
            where = _place(first, ("metadata", "name"))
            yield manifest.document.problem(
                ("metadata", "name"),
                f"zone {resource.metadata.name!r} is defined already in {where}; rename or remove one",
            )
            continue
        account = resource.spec.service_account
        if account is None:
            continue
        owner = accounts.setdefault(account, manifest)
        if owner is not manifest:
            where = _place(owner, _account_path(owner))
            yield manifest.document.problem(
                _account_path(manifest),
                f"{account!r} belongs to zone {owner.resource.metadata.name!r} already ({where}); "
                "a service account belongs to one zone only",
            )


def _admins(manifests: Sequence[Manifest], admin: str | None) -> Iterator[Problem]:
    """Zones whose service account could be mistaken for the admin."""
    for manifest in manifests:
        if admin is not None and manifest.resource.spec.service_account == admin:
            yield manifest.document.problem(
                _account_path(manifest),
                f"{admin!r} is the admin of the setting passthrough.username; give the zone another service account",
            )


def _account_path(manifest: Manifest) -> Path:
    short: Path = ("spec", "serviceAccount")
    return short if short in manifest.document.lines else ("spec", "authenticationMode", "serviceAccount")


def _place(manifest: Manifest, path: Path) -> str:
    line = manifest.document.line(path)
    return manifest.document.source if line is None else f"{manifest.document.source}:{line}"
