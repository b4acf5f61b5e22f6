"""What there is on the cluster: the topics under their plain names, and the same ones as backing topics of a zone."""

from dataclasses import dataclass, field
from enum import Enum

MARKER = "cnry-"
"""Before every backing topic's name but one."""

DATA_BROKER = 1
"""It leads every partition, so that one request can name any of them."""

ORDERS = "orders"
"""Writable, with records that no test adds to."""
PRICES = "prices"
"""Readable, with records."""
INTAKE = "intake"
DEPOT = "depot"
"""Writable: the tests' records go there."""
LEDGER = "ledger"
"""Writable: for transactions alone, so that its offsets are the same on both sides."""
VANISHED = "vanished"
"""Granted, and not there."""
SECRET = "secret"
"""There, and not granted."""
GHOST = "ghost"
"""Neither there nor granted."""
WITHHELD = "behind-prices"
"""The topic behind PRICES in the zones. Without the marker, since users ask for it, and are refused under its name."""
ILLEGAL = "no?name"

UNKNOWN_ID = bytes(range(16))
PARTITIONS = 2
BAD_PARTITION = 7

WRITABLE = (ORDERS, INTAKE, DEPOT, LEDGER, VANISHED)
READABLE = (PRICES,)
FILLED = (ORDERS, PRICES)
CREATED = (ORDERS, PRICES, INTAKE, DEPOT, LEDGER)

ZONE_PREFIX = "eq-"
CLUSTER_USER = ("gateway", "gateway-secret")


class Role(Enum):
    """Who asks. PARTNER may write some topics and read others, READER only reads."""

    PARTNER = "partner"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class Grants:
    """What a role may do, on both sides."""

    role: Role
    own: str
    """How its groups and transactional ids begin."""
    writable: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    password: str = field(default="direct-secret", repr=False)

    @property
    def zone(self) -> str:
        return ZONE_PREFIX + self.role.value

    @property
    def user(self) -> str:
        return self.role.value


GRANTS = {
    Role.PARTNER: Grants(Role.PARTNER, "pa-", WRITABLE, READABLE),
    Role.READER: Grants(Role.READER, "re-", (), (ORDERS, PRICES)),
}
