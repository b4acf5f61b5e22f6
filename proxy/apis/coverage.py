"""Writes `docs/api-coverage.md`: what the table says of every Kafka API, for readers.

`python -m proxy.apis.coverage PATH`; `make api-coverage` does it. Nothing else uses this module.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from protocol.error_codes import ErrorCode
from protocol.schema import API_NAMES, known_versions
from proxy.apis.plan import ApiEntry, Treatment
from proxy.apis.table import TABLE

SERVED: Final = (Treatment.REWRITE, Treatment.FILTER, Treatment.TERMINATE)

INTRODUCTION: Final = """\
# Kafka's APIs through zonegate

What becomes of each request that a partner's client or tool can send. This page is generated from the table that the
gateway itself works by (`proxy/apis/table.py`): change it there and run `make api-coverage`.

* **Served**: works as with a broker, within the zone. *Rewritten*: names, ids and addresses are mapped both ways.
  *Filtered*: what is not the zone's is left out. *Answered here*: by the gateway itself.
* **Refused**: offered, so that a tool asks and shows its user an authorization error; answered by the gateway.
* **Hidden**: not offered, since clients then do without it, or since only brokers call it. Whoever sends it all the
  same gets Kafka's error from the gateway.
* **Closed**: not offered; a request ends the connection, as with a broker that lacks the API.

**Versions** are those that zonegate understands; a client is offered the part of them that its broker has, too.
`0-5 of 6` means that Kafka has version 6, which is left out for the reason in the note. **Needs** says what the zone
must hold: READ or WRITE on each alias that is named (WRITE includes READ), any alias at all, or just `any`: every
client of the zone may, within the groups and transactions of the zone. What is refused never reaches a broker; the rest
of a request that is refused in part is served.

**Errors** are Kafka's, given by number:
"""

NAMES_BEYOND: Final = {
    4: "LeaderAndIsr",
    5: "StopReplica",
    6: "UpdateMetadata",
    7: "ControlledShutdown",
    93: "StreamsGroupTopologyDescriptionUpdate",
    94: "UnregisterController",
}
"""The keys of Kafka 4 that the schema lacks."""

NOTES: Final[Mapping[int, str]] = {
    0: "offered from 0, as brokers do; 0 to 2 close the connection",
    4: "between brokers, before Kafka 4",
    5: "between brokers, before Kafka 4",
    6: "between brokers, before Kafka 4",
    7: "between brokers, before Kafka 4",
    10: "6 finds coordinators of share groups, which are hidden",
    18: "5 tells the cluster's real id, and zones have their own; clients fall back to 4",
    19: "`kafka-topics --create`",
    20: "`kafka-topics --delete`",
    21: "`kafka-delete-records`",
    22: "6 is not stable in Kafka yet",
    24: "4 and 5 are for brokers",
    27: "ends other people's transactions: brokers, `kafka-transactions abort`",
    29: "`kafka-acls --list`",
    30: "`kafka-acls --add`",
    31: "`kafka-acls --remove`",
    33: "`kafka-configs --alter` of old",
    34: "moves replicas between disks",
    35: "`kafka-log-dirs`",
    37: "`kafka-topics --alter --partitions`",
    38: "tokens would be the gateway's own user's",
    39: "tokens would be the gateway's own user's",
    40: "tokens would be the gateway's own user's",
    41: "tokens would be the gateway's own user's",
    43: "`kafka-leader-election`",
    44: "`kafka-configs --alter`",
    45: "`kafka-reassign-partitions --execute`",
    46: "`kafka-reassign-partitions --list`",
    48: "`kafka-configs --describe --entity-type clients`",
    49: "`kafka-configs --alter --entity-type clients`",
    50: "`kafka-configs --describe --entity-type users`",
    51: "`kafka-configs --alter --entity-type users`",
    55: "`kafka-metadata-quorum`: tells the controllers' addresses",
    57: "`kafka-features`",
    61: "`kafka-transactions describe-producers`: shows other writers of a shared topic",
    64: "`kafka-cluster unregister`",
    71: "clients then send no telemetry",
    72: "clients then send no telemetry",
    74: "lists everybody's names",
    76: "share groups",
    77: "share groups",
    78: "share groups",
    79: "share groups",
    80: "`kafka-metadata-quorum add-controller`",
    81: "`kafka-metadata-quorum remove-controller`",
    88: "Streams groups; Kafka Streams' default are classic groups",
    89: "Streams groups",
    90: "share groups",
    91: "share groups",
    92: "share groups",
    93: "Streams groups; newer than zonegate's schema",
    94: "cluster administration; newer than zonegate's schema",
}
"""What a reader should know: why newer versions are left out, which tool sends it, why it isn't served."""

WORDS: Final = {Treatment.REWRITE: "rewritten", Treatment.FILTER: "filtered", Treatment.TERMINATE: "answered here"}


def api_name(key: int) -> str:
    """As Kafka spells it."""
    return NAMES_BEYOND[key] if key in NAMES_BEYOND else API_NAMES[key].title().replace("_", "")


def versions_of(entry: ApiEntry) -> str:
    """The range, and what the schema has beyond it."""
    if entry.versions is None:
        return "none"
    low, high = entry.versions
    shown = f"{low}" if low == high else f"{low}-{high}"
    newest = known_versions(entry.key)[1]
    return shown if newest == high else f"{shown} of {newest}"


def note(key: int) -> str:
    between = key in TABLE and TABLE[key].treatment is Treatment.INTERNAL
    return NOTES.get(key, "between brokers" if between else "")


def page() -> str:
    entries = [TABLE[key] for key in sorted(TABLE)]
    served = [entry for entry in entries if entry.treatment in SERVED]
    refused = [entry for entry in entries if entry.treatment is Treatment.DENY]
    hidden = [entry for entry in entries if entry.treatment is Treatment.HIDE and entry.versions is not None]
    answered = {entry.key for entry in (*served, *refused, *hidden)}
    closed = sorted(({*TABLE} | {*NAMES_BEYOND}) - answered)
    return "\n".join(
        (
            INTRODUCTION,
            *_table(("error", "name"), _errors(entries)),
            "## Served",
            "",
            *_table(
                ("key", "API", "how", "versions", "needs", "refusal", "note"),
                (
                    (e.key, api_name(e.key), WORDS[e.treatment], versions_of(e), e.needs, e.refusal, note(e.key))
                    for e in served
                ),
            ),
            "## Refused",
            "",
            *_table(("key", "API", "versions", "answer", "who sends it"), _answers(refused)),
            "## Hidden",
            "",
            *_table(("key", "API", "versions", "answer", "why"), _answers(hidden)),
            "## Closed",
            "",
            *_table(("key", "API", "what it is"), ((key, api_name(key), note(key)) for key in closed)),
        )
    )


def _answers(entries: Iterable[ApiEntry]) -> Iterator[tuple[object, ...]]:
    return ((e.key, api_name(e.key), versions_of(e), e.refusal, note(e.key)) for e in entries)


def _errors(entries: Iterable[ApiEntry]) -> Iterator[tuple[object, ...]]:
    """The errors that the page speaks of."""
    spoken = {int(number) for entry in entries for number in re.findall(r"\b\d{2,}\b", entry.refusal)}
    return ((code, f"`{ErrorCode(code).name}`") for code in sorted(spoken))


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
