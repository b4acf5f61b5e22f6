"""SCRAM-SHA-512 (RFC 5802): the client proves that it has a password and doesn't send it. For zones of the mode PLAIN.

Salt and iterations are told before the proof, so a zone's passwords share them and the proof is tried with each. An
account that isn't there, or has no password, gets a salt of its own as well and fails in the end, like anybody else.
"""

import secrets
from collections.abc import Sequence
from typing import Final

from policies.credentials import SCRAM_ITERATIONS, Credential, ScramKeys
from protocol import scram_server as scram
from protocol.errors import ClientProtocolError
from proxy.mechanisms.mechanism import Accepted, Challenge, Principal, Refused, Step
from proxy.zones import ZoneRegistry

_NONCE_BYTES: Final = 24

_DECOY: Final = secrets.token_bytes(scram.PROOF_BYTES)
"""A stored key that no proof fits."""

_MALFORMED: Final = Refused("malformed_token", None)


class ScramSha512:
    """The mechanism."""

    name = scram.SCRAM_SHA_512

    def __init__(self, zones: ZoneRegistry) -> None:
        self._zones = zones

    def begin(self) -> "ScramConversation":
        return ScramConversation(self._zones)


class ScramConversation:
    """One client's sign-in: its name, our salt, its proof, our proof."""

    def __init__(self, zones: ZoneRegistry) -> None:
        self._zones = zones
        self._first: scram.ClientFirst | None = None
        self._nonce = self._server_first = b""
        self._salt = (b"", 0)

    def step(self, token: bytes, now: float) -> Step:
        try:
            if self._first is None:
                return self._challenge(scram.parse_client_first(token), now)
            return self._judge(self._first, scram.parse_client_final(token), now)
        except ClientProtocolError:
            return _MALFORMED

    def _challenge(self, first: scram.ClientFirst, now: float) -> Step:
        self._first = first
        known = self._keys(first.username)
        # should there be passwords with different salts, those count that go with the first one still valid
        keys = next((keys for credential, keys in known if credential.valid_at(now)), known[0][1] if known else None)
        if keys is not None:
            self._salt = keys.salt, keys.iterations
        else:
            self._salt = self._zones.decoy_salt(first.username), SCRAM_ITERATIONS
        self._nonce = first.nonce + secrets.token_urlsafe(_NONCE_BYTES).encode()
        self._server_first = scram.build_server_first(self._nonce, *self._salt)
        return Challenge(self._server_first)

    def _keys(self, username: str) -> Sequence[tuple[Credential, ScramKeys]]:
        account = self._zones.account(username)
        if account is None or account.mode != "PLAIN":
            return ()
        return [(known, known.scram) for known in account.credentials if known.scram is not None]

    def _judge(self, first: scram.ClientFirst, final: scram.ClientFinal, now: float) -> Step:
        if final.nonce != self._nonce or final.header != first.header:
            return _MALFORMED
        signed = scram.auth_message(first, self._server_first, final)
        # as they are now: what was revoked since the first message is none of them
        known = [
            (each, keys) for each, keys in self._keys(first.username) if (keys.salt, keys.iterations) == self._salt
        ]
        # all are tried, and one that can't match where there is none: the time tells nothing
        found = [(each, keys) for each, keys in known if scram.is_proof(keys.stored_key, signed, final.proof)]
        if not known:
            scram.is_proof(_DECOY, signed, final.proof)
        if not found:
            return Refused("invalid_credentials", None, first.username)
        valid = [(each, keys) for each, keys in found if each.valid_at(now)]
        if not valid:
            return Refused("expired_credential", None, first.username)
        credential, keys = valid[0]
        principal = Principal(credential.zone, first.username, ScramSha512.name, credential, credential.expires)
        return Accepted(principal, scram.build_server_final(keys.server_key, signed))
