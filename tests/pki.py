"""Certificates for tests: an authority of its own for each purpose, and files as an operator would have them."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM files of a certificate with its chain and its key, apart and in one, as Kafka's key stores have them."""

    certificate: Path
    key: Path
    both: Path

    def move_to(self, other: "Pair") -> None:
        """Take the place of another pair, as renewal does: one file after the other."""
        for ours, theirs in ((self.certificate, other.certificate), (self.key, other.key), (self.both, other.both)):
            ours.replace(theirs)


class Authority:
    """Signs certificates. `file` is what somebody who trusts it needs."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._ca = trustme.CA(organization_name=name)
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        file_name: str,
        *hosts: str,
        common_name: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        password: str | None = None,
    ) -> Pair:
        """A certificate for host names, or for a client with a common name."""
        leaf = self._ca.issue_cert(*hosts, common_name=common_name, not_before=not_before, not_after=not_after)
        pair = Pair(*(self._folder / f"{file_name}.{ending}" for ending in ("crt", "key", "pem")))
        pair.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        hidden: KeySerializationEncryption = (
            BestAvailableEncryption(password.encode()) if password is not None else NoEncryption()
        )
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        # the form that Java reads, too
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
        pair.both.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
        return pair

    def client_context(self, certificate: Pair | None = None) -> ssl.SSLContext:
        """For a client that trusts this authority and, perhaps, shows a certificate."""
        context = ssl.create_default_context(cafile=str(self.file))
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        return context
