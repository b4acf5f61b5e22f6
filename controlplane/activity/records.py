"""The records of the activity topic: JSON, each of what one gateway's process tells of a few seconds.

    {"format": 1, "gateway": "gateway-1-3f0c9a", "worker": null, "started": "2026-11-21T10:00:00Z",
     "from": 1795255200.0, "to": 1795255202.0,
     "zones": {"partner": {
         "produced": [bytes, records], "consumed": [bytes, records],
         "rates": [bytes produced per second, bytes consumed per second, commits per minute],
         "connections": 3, "clients": [[client id, software, user, address, since, connections], ...],
         "refusals": [[at, api, operation, resource type, resource, error, user, address, count], ...],
         "uses": {"orders": [[client id, user, address], ...]}}}}

What is nothing is left out. `clients` are all of the zone's at this process; without the field they are as they were.
The last record of a process says `"ends": true`. A higher `format` is of a newer version of zonegate.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from controlplane.state.client import Identity
from controlplane.zone_activity import SHOWN_CLIENTS, SHOWN_REFUSALS, ConnectedClient, Rates, RecentRefusal
from proxy.activity import shown
from proxy.activity_news import NOTHING, Counts, ZoneNews

FORMAT: Final = 1

RECORD_BYTES: Final = 100_000
"""Where a record is full. The Kafka client compresses it in a few milliseconds, in which nobody else has a turn."""

MAX_USERS: Final = 20
"""Of an alias, in a record."""

MAX_TEXT: Final = 255
MAX_COUNT: Final = 1 << 53
LAST_SECOND: Final = 253_402_300_799.0
"""Of the year 9999."""

NO_RATES: Final = Rates()

User = tuple[str, str, str]
"""Client id, user, address."""


class NewerFormat(Exception):
    """The record is of a newer version of zonegate."""


class BadRecord(Exception):
    """The record is of none: what it holds can't be read."""


@dataclass(frozen=True, slots=True)
class ZoneTold:
    """What a process tells of a zone."""

    counts: Counts = NOTHING
    rates: Rates = NO_RATES
    clients: Sequence[ConnectedClient] | None = None
    """None: as they were."""
    connections: int = 0
    refusals: Sequence[RecentRefusal] = field(default_factory=list)
    uses: Mapping[str, Sequence[User]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A record that was read."""

    gateway: str
    worker: int | None
    started: str
    since: float
    until: float
    zones: Mapping[str, ZoneTold] = field(default_factory=dict)
    ends: bool = False


# writing


def write_zone(zone: str, news: ZoneNews) -> bytes:
    """For `write_record`."""
    produced, consumed = news.counts[:2], news.counts[2:]
    fields: dict[str, object] = {}
    if any(produced):
        fields["produced"] = produced
    if any(consumed):
        fields["consumed"] = consumed
    if any(news.rates):
        fields["rates"] = [round(rate, 3) for rate in news.rates]
    if news.clients is not None:
        fields["connections"] = news.connections
        fields["clients"] = [(*each.caller, round(each.since, 3), each.connections) for each in news.clients]
    if news.refusals:
        fields["refusals"] = [(round(each.at, 3), *kind, each.count) for kind, each in news.refusals.items()]
    if news.uses:
        fields["uses"] = {
            alias: [(each.client_id, each.user, each.address) for each in users] for alias, users in news.uses.items()
        }
    return (_json(zone) + ":" + _json(fields)).encode(errors="replace")


def write_record(identity: Identity, since: float, until: float, zones: Sequence[bytes], ends: bool = False) -> bytes:
    """`zones` come from `write_zone`."""
    head: dict[str, object] = {
        "format": FORMAT,
        "gateway": identity.gateway,
        "worker": identity.worker,
        "started": identity.started,
        "from": round(since, 3),
        "to": round(until, 3),
    }
    if ends:
        head["ends"] = True
    return _json(head)[:-1].encode() + b',"zones":{' + b",".join(zones) + b"}}"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# reading


def read_record(value: bytes) -> Told:
    """Raises NewerFormat, BadRecord."""
    try:
        record = json.loads(value)
        if _whole(record["format"]) > FORMAT:
            raise NewerFormat
        gateway = _text(record["gateway"])
        return Told(
            gateway,
            None if record["worker"] is None else _whole(record["worker"]),
            _text(record["started"]),
            _time(record["from"]),
            _time(record["to"]),
            {_text(zone): _read_zone(gateway, fields) for zone, fields in record["zones"].items()},
            record.get("ends") is True,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRecord(str(error) or type(error).__name__) from None


def _read_zone(gateway: str, fields: Mapping[str, Any]) -> ZoneTold:
    clients = fields.get("clients")
    produced_bytes, produced_records = map(_whole, fields.get("produced", (0, 0)))
    consumed_bytes, consumed_records = map(_whole, fields.get("consumed", (0, 0)))
    return ZoneTold(
        (produced_bytes, produced_records, consumed_bytes, consumed_records),
        Rates(*map(_number, fields.get("rates", ()))),
        None if clients is None else [_read_client(gateway, *each) for each in clients[:SHOWN_CLIENTS]],
        _whole(fields.get("connections", 0)),
        [_read_refusal(*each) for each in fields.get("refusals", ())[:SHOWN_REFUSALS]],
        {
            _text(alias): [_read_user(*each) for each in users[:MAX_USERS]]
            for alias, users in fields.get("uses", {}).items()
        },
    )


def _read_client(
    gateway: str, client_id: object, software: object, user: object, address: object, since: object, count: object
) -> ConnectedClient:
    return ConnectedClient(
        _text(client_id), _text(software), _text(user), _text(address), gateway, _time(since), _whole(count)
    )


def _read_refusal(at: object, *rest: object) -> RecentRefusal:
    *texts, count = rest
    api, operation, resource_type, resource, error, user, address = map(_text, texts)
    return RecentRefusal(_time(at), api, operation, resource_type, resource, error, user, address, count=_whole(count))


def _read_user(client_id: object, user: object, address: object) -> User:
    return _text(client_id), _text(user), _text(address)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    return shown(value, MAX_TEXT)


def _whole(value: object) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(f"{value} is no whole number")
    return int(number)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is no number")
    if not 0 <= value <= MAX_COUNT or not math.isfinite(value):
        raise ValueError(f"{value} is out of range")
    return value


def _time(value: object) -> float:
    return min(_number(value), LAST_SECOND)
