"""The part of a zone's form in which topics are chosen: what its buttons do, and which topics the cluster has."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from controlplane.pages.visits import Form
from controlplane.pages.zone_form import Errors, TopicRow, ZoneForm
from controlplane.zone_service import InvalidRequest, Unavailable, ZoneService
from policies.names import MAX_TOPIC_NAME, check_topic_name

SHOWN: Final = 200
"""Of the cluster's topics; whoever looks for one among more writes a part of its name."""

KEPT_SECONDS: Final = 10.0
"""For which the answer of a cluster is good: each press of a button asks for its topics, and one that is out of reach
lets everybody wait."""

LAST_TOPIC: Final = "A zone has at least one topic; delete the zone instead."


@dataclass(slots=True)
class Topics:
    """What the page shows beside the form's own rows."""

    cluster: str
    search: str
    typed: str = ""
    problem: str = ""
    """Why the cluster's topics aren't known."""
    all: Collection[str] = ()
    found: Sequence[str] = ()
    """The first of those that were searched for."""
    matching: int = 0
    shared: Mapping[str, int] = field(default_factory=dict)
    """Topic -> how often it is shared."""
    said: str = ""
    """To who doesn't see what has changed."""
    focus: int | None = None
    """The row whose button is to have the focus, as the button that had it is gone."""
    is_typing: bool = False
    """Somebody writes names, and may go on."""

    def is_missing(self, topic: str) -> bool:
        """The cluster doesn't have it."""
        return not self.problem and topic not in self.all


class TopicEditor:
    """`keeps_one`: the last topic can't be removed."""

    def __init__(self, service: ZoneService, keeps_one: bool) -> None:
        self._service = service
        self.keeps_one = keeps_one
        self._answers: dict[str, tuple[float, Collection[str], str]] = {}

    async def topics(self, sent: Form, form: ZoneForm) -> Topics:
        """Of the form's cluster."""
        topics = Topics(form.texts["cluster"], sent.get("search"), sent.get("typed"))
        topics.all, topics.problem = await self._ask(topics.cluster)
        words = topics.search.casefold().split()
        matching = [name for name in topics.all if all(word in name.casefold() for word in words)]
        topics.matching, topics.found = len(matching), matching[:SHOWN]
        topics.shared = Counter(row.topic for row in form.topics)
        return topics

    async def _ask(self, cluster: str) -> tuple[Collection[str], str]:
        now = monotonic()
        known = self._answers.get(cluster)
        if known is None or now - known[0] > KEPT_SECONDS:
            names: Collection[str] = ()
            problem = ""
            try:
                names = dict.fromkeys(await self._service.cluster_topics(cluster))
            except (InvalidRequest, Unavailable) as error:
                problem = str(error)
            self._answers = {name: each for name, each in self._answers.items() if now - each[0] <= KEPT_SECONDS}
            known = self._answers[cluster] = monotonic(), names, problem
        return known[1], known[2]

    def wants_more(self, sent: Form) -> str:
        """What Enter means in the fields of this part: to search, or to add what was typed; empty when these say
        nothing new."""
        if sent.get("typed"):
            return "type"
        return "find" if sent.get("search") != sent.get("searched") else ""

    async def act(self, action: str, argument: str, sent: Form, form: ZoneForm, errors: Errors) -> Topics:
        """What a button does: `add`, `type`, `remove` or `find`. Whatever else it says changes nothing."""
        said, focus = "", None
        if action == "add" and argument:
            said = self._add(form, argument)
        elif action == "type":
            said = self._type(form, sent.get("typed"), errors)
        elif action == "remove":
            said, focus = self._remove(form, argument, errors)
        topics = await self.topics(sent, form)
        if action == "find":
            said = f"{topics.matching:,} topics found"
        if action == "type" and "typed" not in errors:
            topics.typed = ""
        topics.said, topics.focus, topics.is_typing = said, focus, action == "type"
        return topics

    def _add(self, form: ZoneForm, topic: str) -> str:
        alias = new_alias(topic, (row.alias for row in form.topics))
        key = max((row.key for row in form.topics), default=-1) + 1
        form.topics.append(TopicRow(key, topic, alias))
        return f"{topic} is shared as {alias}; {len(form.topics):,} in all"

    def _type(self, form: ZoneForm, topic: str, errors: Errors) -> str:
        if reason := check_topic_name(topic):
            errors["typed"] = reason[:1].upper() + reason[1:]
            return ""
        return self._add(form, topic)

    def _remove(self, form: ZoneForm, key: str, errors: Errors) -> tuple[str, int | None]:
        at = next((at for at, row in enumerate(form.topics) if str(row.key) == key), None)
        if at is None:
            return "", None
        if self.keeps_one and len(form.topics) == 1:
            errors["topics"] = LAST_TOPIC
            return LAST_TOPIC, None
        removed = form.topics.pop(at)
        focus = form.topics[min(at, len(form.topics) - 1)].key if form.topics else None
        return f"{removed.alias} is not shared any more; {len(form.topics):,} in all", focus


def new_alias(topic: str, taken: Iterable[str]) -> str:
    """The topic's own name, or with a number where another row has that."""
    names = set(taken)
    alias, number = topic, 1
    while alias in names:
        number += 1
        ending = f"-{number}"
        alias = topic[: MAX_TOPIC_NAME - len(ending)] + ending
    return alias
