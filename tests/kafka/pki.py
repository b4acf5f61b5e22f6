"""Certificates for tests, in the forms in which brokers and the gateway take them: PEM files."""

from dataclasses import dataclass
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
class Identity:
    """A certificate with its chain, and its key; `store` holds both, as Kafka's PEM key stores do."""

    certificate: Path
    key: Path
    store: Path


class Pki:
    """An authority of its own, and what it has issued, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, file: str, *names: str, common_name: str | None = None, password: str | None = None) -> Identity:
        """A certificate for these host names and addresses; with a password, the key file is encrypted."""
        leaf = self._authority.issue_cert(*names, common_name=common_name)
        identity = Identity(*(self._folder / f"{file}{suffix}" for suffix in (".pem", ".key", ".store.pem")))
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        identity.certificate.write_bytes(chain)
        # Kafka reads no other form of key than PKCS #8
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        encryption: KeySerializationEncryption = NoEncryption()
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        if password is not None:
            encryption = BestAvailableEncryption(password.encode())
        identity.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        identity.store.write_bytes(plain + chain)
        return identity
