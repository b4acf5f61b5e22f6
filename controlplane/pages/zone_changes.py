"""What an edit of a zone does to its partner's clients, and what somebody else's edit has changed meanwhile."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controlplane.pages.limit_fields import LIMITS
from controlplane.pages.zone_form import PATHS, ZoneForm, manifest_of
from controlplane.pages.zone_words import LABELS, PERMISSIONS
from controlplane.partner_zone import PartnerZone, SharedTopic


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that clients which work today can't do after the edit."""

    alias: str
    """Empty: all clients of the zone."""
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    old: str
    new: str


def losses(before: PartnerZone, after: PartnerZone) -> list[Loss]:
    return [*_of_all(before, after), *_of_aliases(before, after)]


def fingerprint(found: Sequence[Loss]) -> str:
    """Of these and no others: who has agreed to them is asked again where they have become others."""
    text = json.dumps([[loss.alias, loss.text] for loss in found])
    return hashlib.sha256(text.encode()).hexdigest()


def _of_all(before: PartnerZone, after: PartnerZone) -> Iterator[Loss]:
    old, new = before.spec.service_account, after.spec.service_account
    if old != new:
        yield Loss("", f"Clients that sign in as {old} are refused; the service account is {new} then.")
    if before.mode != after.mode:
        yield Loss("", f"Clients that sign in with {before.mode} are refused; the zone wants {after.mode} then.")


def _of_aliases(before: PartnerZone, after: PartnerZone) -> Iterator[Loss]:
    shared = {topic.name: topic for topic in after.spec.topics}
    known = {topic.name for topic in before.spec.topics}
    for topic in before.spec.topics:
        now = shared.get(topic.name)
        if now is None:
            others = [each.name for each in after.spec.topics if each.backing_topic == topic.backing_topic]
            fresh = [name for name in others if name not in known]
            renamed = f" The topic is called {fresh[0]} then." if len(fresh) == 1 else ""
            text = f"Partners that use {topic.name} won't find it any more and get an error.{renamed}"
            yield Loss(topic.name, text)
        elif now.backing_topic != topic.backing_topic:
            text = f"Partners that use {topic.name} get another topic: {now.backing_topic}, not {topic.backing_topic}."
            yield Loss(topic.name, text)
        if now is not None and topic.permission == "WRITE" != now.permission:
            yield Loss(topic.name, f"Partners that write to {topic.name} can't any more and get an error.")


def differences(before: PartnerZone, after: PartnerZone) -> list[Difference]:
    """Field by field, and alias by alias."""
    old, new = ZoneForm.of(before), ZoneForm.of(after)
    found = [Difference(LABELS[name], old.texts[name], new.texts[name]) for name in PATHS]
    found += _of_topics(before, after)
    found += [
        Difference(kind.label, was.text, now.text)
        for kind, was, now in zip(LIMITS, old.limits, new.limits, strict=True)
    ]
    found.append(Difference("Headers of records", _headers(before), _headers(after)))
    return [each for each in found if each.old != each.new]


def _of_topics(before: PartnerZone, after: PartnerZone) -> Iterator[Difference]:
    old, new = ({topic.name: _topic(topic) for topic in zone.spec.topics} for zone in (before, after))
    for name in old | new:
        yield Difference(f"Topic {name}", old.get(name, "not shared"), new.get(name, "not shared"))


def _topic(topic: SharedTopic) -> str:
    return f"{topic.backing_topic}, {PERMISSIONS[topic.permission]}"


def _headers(zone: PartnerZone) -> str:
    headers = manifest_of(zone)["spec"].get("headers")
    return json.dumps(headers, ensure_ascii=False) if headers else ""
