"""A zone, and the frozen rules compiled from it: names both ways and permissions.

Nothing here knows Kafka's wire format or its error codes; the proxy turns these answers into
responses. A zone's rules are replaced as a whole, never edited.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

GROUP_DELIMITER = ":"
"""Between a zone's name and a group or client id upstream. No zone name can hold it, so prefixes never nest."""

OUTSIDE_MARK = "?"
"""Behind a zone's prefix, before a topic name that is no alias of it. No topic name can hold it."""


class Permission(enum.Enum):
    """What a zone may do with an alias. WRITE includes READ."""

    READ = "READ"
    WRITE = "WRITE"


@dataclass(frozen=True, slots=True)
class Alias:
    """One shared topic: `name` is what the client sees, `topic` the backing topic that the broker sees."""

    name: str
    topic: str
    permission: Permission

    @property
    def writable(self) -> bool:
        return self.permission is Permission.WRITE


AuthenticationMode = Literal["PLAIN", "OAUTHBEARER", "MTLS"]
"""How a zone's service account proves who it is: a password of ours, a token of its issuer, a certificate."""


@dataclass(frozen=True, slots=True)
class ZoneLimits:
    """What a zone may use at most, all its connections together; None is without limit."""

    produce_rate: int | None = None
    """Bytes of record batches per second."""
    consume_rate: int | None = None
    """The same, to consumers."""
    commits_per_minute: int | None = None
    """Requests that commit offsets."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The desired state of one zone, as far as the data plane needs it."""

    name: str
    cluster: str
    service_account: str
    aliases: tuple[Alias, ...]
    authentication: AuthenticationMode = "PLAIN"
    limits: ZoneLimits = ZoneLimits()


class ZoneRules:
    """The compiled rules of one zone. Treated as frozen: a session takes the object once per request."""

    __slots__ = ("_by_name", "_by_topic", "name", "prefix", "service_account", "writable", "zone")

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.name = zone.name
        self.service_account = zone.service_account
        self.prefix = zone.name + GROUP_DELIMITER
        self._by_name = {alias.name: alias for alias in zone.aliases}
        by_topic: dict[str, tuple[Alias, ...]] = {}
        for alias in zone.aliases:
            by_topic[alias.topic] = (*by_topic.get(alias.topic, ()), alias)
        self._by_topic = by_topic
        self.writable = any(alias.writable for alias in zone.aliases)

    @property
    def aliases(self) -> tuple[Alias, ...]:
        return self.zone.aliases

    @property
    def topics(self) -> Iterable[str]:
        """The backing topics, each once, in the order of the zone's definition."""
        return self._by_topic.keys()

    def alias(self, name: str | None) -> Alias | None:
        """The alias of that name, or None: a name outside the zone is answered alike whether it exists or not."""
        return self._by_name.get(name) if name is not None else None

    def aliases_of(self, topic: str) -> tuple[Alias, ...]:
        """Every alias of a backing topic, empty for a topic outside the zone."""
        return self._by_topic.get(topic, ())

    def is_shared(self, topic: str) -> bool:
        """True where two aliases of the zone meet on one backing topic."""
        return len(self._by_topic.get(topic, ())) > 1

    def primary(self, topic: str) -> Alias | None:
        """The alias that stands for a backing topic where only the topic is named: the writable one, else the first."""
        aliases = self._by_topic.get(topic, ())
        return next((alias for alias in aliases if alias.writable), aliases[0] if aliases else None)

    def topic_or_mark(self, name: str) -> str:
        """What stands for a client's topic name where a name can't be refused: the backing topic, or what is none.

        Reversible, and never the name itself, which may be a topic of somebody else.
        """
        alias = self._by_name.get(name)
        return alias.topic if alias is not None else self.prefix + OUTSIDE_MARK + name

    def name_or_unmark(self, topic: str) -> str | None:
        """The reverse: the primary alias, or the client's own word; None for a topic outside the zone."""
        alias = self.primary(topic)
        if alias is not None:
            return alias.name
        mark = self.prefix + OUTSIDE_MARK
        return topic[len(mark) :] if topic.startswith(mark) else None

    def qualify(self, name: str) -> str:
        """A client's group, transactional or client id, as the broker sees it."""
        return self.prefix + name

    def unqualify(self, name: str) -> str | None:
        """The reverse of `qualify`; None for an id outside the zone."""
        return name[len(self.prefix) :] if name.startswith(self.prefix) else None

    def shrank_from(self, before: "ZoneRules") -> bool:
        """True when something that `before` allowed is gone, renamed or moved, so that live sessions must end."""
        if before.service_account != self.service_account or before.zone.authentication != self.zone.authentication:
            return True
        return any(not self._still_grants(alias) for alias in before.aliases)

    def _still_grants(self, before: Alias) -> bool:
        now = self._by_name.get(before.name)
        return now is not None and now.topic == before.topic and (now.writable or not before.writable)
