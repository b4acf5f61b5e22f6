"""What becomes of a Kafka request in a zone, in plain words, from the table that the gateway itself works by."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.zone import Alias, ZoneRules
from protocol.error_codes import ErrorCode
from proxy import resources
from proxy.apis.coverage import NAMES_BEYOND, SERVED, WORDS, api_name, note, versions_of
from proxy.apis.plan import ApiEntry, Treatment
from proxy.apis.table import TABLE
from proxy.traffic import Kind

ALLOWED, PARTLY, REFUSED, HIDDEN, CLOSED = "allowed", "partly", "refused", "hidden", "closed"


@dataclass(frozen=True, slots=True)
class Needs:
    """What the table's words for a permission mean."""

    write: bool = False
    """WRITE on the alias; for an API that names no topic, on any."""
    zone_write: bool = False
    """WRITE on any alias of the zone, besides."""


NEEDS: Final[Mapping[str, Needs]] = {
    "-": Needs(),
    "any": Needs(),
    "any alias": Needs(),
    "any; WRITE for transactions": Needs(),
    "READ": Needs(),
    "WRITE": Needs(write=True),
    "WRITE of any alias": Needs(zone_write=True),
    "READ, and WRITE of any alias": Needs(zone_write=True),
}
"""Every zone has an alias, and every alias READ."""

LIMITS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.PRODUCE: ("maxProduceRate", "bytes of record batches per second"),
    Kind.CONSUME: ("maxConsumeRate", "bytes of record batches per second"),
    Kind.COMMIT: ("limitCommitOffset", "commits per minute"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    word: str
    why: str

    @property
    def served(self) -> bool:
        """At least for some alias."""
        return self.word in (ALLOWED, PARTLY)


def all_apis() -> dict[str, int]:
    """Every API's name as Kafka spells it, and its key."""
    return {api_name(key): key for key in sorted({*TABLE} | {*NAMES_BEYOND})}


def entry_of(key: int) -> ApiEntry:
    """Keys that the table lacks are treated like those between brokers: nobody takes them."""
    return TABLE.get(key) or ApiEntry(key, Treatment.INTERNAL)


def decide(entry: ApiEntry, rules: ZoneRules, alias: Alias | None = None) -> Verdict:
    """For one alias, or for all of the zone."""
    if entry.versions is None:
        return Verdict(CLOSED, f"not offered; a request ends the connection{_note(entry)}")
    if entry.treatment is Treatment.HIDE:
        return Verdict(HIDDEN, f"not offered{_note(entry)}; who sends it all the same is refused")
    if entry.treatment is Treatment.DENY:
        return Verdict(REFUSED, f"no zone may{_note(entry)}; the gateway answers, and no broker sees the request")
    needs = NEEDS[entry.needs]
    if (needs.zone_write or (needs.write and not takes_topic(entry))) and not rules.writable:
        return Verdict(REFUSED, "it needs WRITE, and no alias of the zone has it")
    if needs.write and takes_topic(entry):
        return _decide_writing(rules, alias)
    return Verdict(ALLOWED, _why_allowed(entry, rules))


def _decide_writing(rules: ZoneRules, alias: Alias | None) -> Verdict:
    if alias is not None:
        if alias.writable:
            return Verdict(ALLOWED, f"{alias.name} has WRITE")
        return Verdict(REFUSED, f"{alias.name} has READ, and it needs WRITE")
    writable = [each.name for each in rules.aliases if each.writable]
    if not writable:
        return Verdict(REFUSED, "it needs WRITE, and no alias of the zone has it")
    if len(writable) == len(rules.aliases):
        return Verdict(ALLOWED, "every alias has WRITE")
    return Verdict(PARTLY, f"it needs WRITE, which these have: {', '.join(writable)}")


def _why_allowed(entry: ApiEntry, rules: ZoneRules) -> str:
    if entry.treatment is Treatment.TERMINATE:
        return "the gateway answers it itself"
    if entry.needs == "any; WRITE for transactions":
        beyond = " and transactions" if rules.writable else ", but not for transactions, as no alias has WRITE"
        return f"every client may look for its groups{beyond}"
    if entry.needs == "READ":
        return "every alias has READ"
    if NEEDS[entry.needs].zone_write or NEEDS[entry.needs].write:
        return "an alias of the zone has WRITE"
    return "every client may"


def errors(entry: ApiEntry) -> str:
    """The table's error codes with their names."""
    return re.sub(r"(?<!version )(?<![=\w])\d+", lambda code: _error(int(code[0])), entry.refusal)


def first_error(entry: ApiEntry) -> str:
    """The error that stands for the others, where there is room for one."""
    return re.split("[,;] | (?:per|for) ", errors(entry))[0]


def limit(entry: ApiEntry, rules: ZoneRules) -> str:
    """`maxProduceRate: 1048576 bytes per second`"""
    if entry.kind is None:
        return "none: it counts towards no limit of the zone"
    name, unit = LIMITS[entry.kind]
    limits = rules.zone.limits
    value = {
        Kind.PRODUCE: limits.produce_rate,
        Kind.CONSUME: limits.consume_rate,
        Kind.COMMIT: limits.commits_per_minute,
    }[entry.kind]
    return f"{name}: {value} {unit}" if value is not None else f"{name}, which the zone does not set"


def takes_topic(entry: ApiEntry) -> bool:
    return bool(_operation(entry, resources.ResourceType.TOPIC))


def describe(entry: ApiEntry, rules: ZoneRules, alias: Alias | None) -> Iterator[tuple[str, str]]:
    """Everything about one API in a zone, a name and a text each."""
    verdict = decide(entry, rules, alias)
    yield "decision", f"{verdict.word}: {verdict.why}"
    if alias is not None:
        yield "alias", f"{alias.name} is {alias.topic} of cluster {rules.zone.cluster}, with {_permission(alias)}"
    yield "treatment", _treatment(entry)
    if entry.treatment in SERVED:
        yield "needs", _needed(entry)
    yield "errors", f"{errors(entry)}{_outside(entry)}"
    yield "limit", limit(entry, rules)
    if verdict.served and entry.treatment is not Treatment.TERMINATE:
        yield from _upstream(entry, rules, alias)
    if entry.versions is not None:
        yield "versions", f"{versions_of(entry)}; a client is offered those that its broker has, too"


def _upstream(entry: ApiEntry, rules: ZoneRules, alias: Alias | None) -> Iterator[tuple[str, str]]:
    """How the request looks to the cluster, and what the gateway's own user must be allowed there."""
    if takes_topic(entry) and alias is None:
        yield "topics", ", ".join(f"{each.name} is {each.topic}" for each in rules.aliases)
    if _operation(entry, resources.ResourceType.GROUP):
        yield "groups", f"the partner's group g is {rules.qualify('g')}"
    if _operation(entry, resources.ResourceType.TRANSACTIONAL_ID):
        yield "transactions", f"the partner's transactional id t is {rules.qualify('t')}"
    yield "own ACLs", "; ".join(_own_acls(entry, rules, alias)) or "none"


def _own_acls(entry: ApiEntry, rules: ZoneRules, alias: Alias | None) -> Iterator[str]:
    if operation := _operation(entry, resources.ResourceType.TOPIC):
        writing = NEEDS[entry.needs].write
        shared = [alias] if alias is not None else [each for each in rules.aliases if each.writable or not writing]
        topics = list(dict.fromkeys(each.topic for each in shared if each.writable or not writing))
        if topics:
            yield f"{_acl(operation)} on the topics {', '.join(topics)}"
    if operation := _operation(entry, resources.ResourceType.GROUP):
        yield f"{_acl(operation)} on groups with the prefix {rules.prefix}"
    if rules.writable and (operation := _operation(entry, resources.ResourceType.TRANSACTIONAL_ID)):
        yield f"{_acl(operation)} on transactional ids with the prefix {rules.prefix}"
    if _operation(entry, resources.ResourceType.CLUSTER) == "IDEMPOTENT_WRITE":
        yield "Write on any topic, or IdempotentWrite on the cluster"


def _acl(operation: str) -> str:
    """As `kafka-acls` spells it; Kafka takes Read and Write for Describe."""
    name = operation.title().replace("_", "")
    return "Describe (Read or Write includes it)" if name == "Describe" else name


def _operation(entry: ApiEntry, kind: resources.ResourceType) -> str:
    return resources.operation(entry.key, resources.Resource(kind))


def _treatment(entry: ApiEntry) -> str:
    word = WORDS.get(entry.treatment)
    return f"{word}: {entry.treatment.value}" if word else entry.treatment.value


def _needed(entry: ApiEntry) -> str:
    return "nothing" if entry.needs == "-" else entry.needs


def _outside(entry: ApiEntry) -> str:
    """The same for what exists and what does not."""
    return "; a topic outside the zone alike" if entry.treatment in SERVED and takes_topic(entry) else ""


def _permission(alias: Alias) -> str:
    return "WRITE, which includes READ" if alias.writable else "READ"


def remark(entry: ApiEntry) -> str:
    """Who sends it, or why it isn't served; empty where there is nothing to say."""
    return note(entry.key).replace("`", "")


def _note(entry: ApiEntry) -> str:
    text = remark(entry)
    return f" ({text})" if text else ""


def _error(code: int) -> str:
    return f"{ErrorCode(code).name} ({code})"
