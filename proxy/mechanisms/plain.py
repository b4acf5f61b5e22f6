"""PLAIN (RFC 4616): user name and password as they are. For zones of the mode PLAIN."""

from policies.credentials import hash_password, verify_password
from protocol import sasl
from protocol.errors import ClientProtocolError
from proxy.mechanisms.mechanism import Accepted, Principal, Refused, Step
from proxy.zones import ZoneRegistry


class Plain:
    """The mechanism; it is its own conversation, since there is one token."""

    name = sasl.PLAIN

    def __init__(self, zones: ZoneRegistry) -> None:
        self._zones = zones
        self._decoy = hash_password("no such credential")

    def begin(self) -> "Plain":
        return self

    def step(self, token: bytes, now: float) -> Step:
        try:
            plain = sasl.parse_plain(token)
        except ClientProtocolError:
            return Refused("malformed_token")
        account = self._zones.account(plain.username)
        candidates = account.credentials if account is not None and account.mode == "PLAIN" else ()
        # all are tried, and one that can't match where there is none: the time tells nothing
        found = [known for known in candidates if verify_password(plain.password, known.password_hash)]
        if not candidates:
            verify_password(plain.password, self._decoy)
        if account is None or not found:
            return Refused("invalid_credentials", username=plain.username)
        valid = [known for known in found if known.valid_at(now)]
        if not valid:
            return Refused("expired_credential", username=plain.username)
        return Accepted(Principal(account.zone, plain.username, self.name, valid[0], valid[0].expires))
