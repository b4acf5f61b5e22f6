"""A commit into positions that several aliases share: read what is stored, merge, write, and see that it stayed.

The broker keeps one position per group and backing partition; `policies.positions` keeps those of the aliases in the
commit's metadata. Within this process commits of a group take turns. Another gateway may commit another alias of the
same partition between our reading and our writing, and then its write would undo ours (brokers have no
compare-and-set). That can happen only where the two aliases belong to two members (`proxy.ownership` knows better for
most); such a commit is answered only after a pause in which any write that had not seen ours has arrived, and only when
ours is still there; else it is merged again.

In a transaction the coordinator keeps new positions aside until its end. A second commit of the same transaction
builds on the first, which this process remembers; anybody else's has to wait for the transaction's end.
"""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

from policies import positions
from policies.positions import Position
from policies.zone import Alias
from protocol.error_codes import ErrorCode
from protocol.schema import ZERO_ID, Message, Struct
from proxy.apis import stored_positions
from proxy.apis.topics import Asked, Codes, Partition, Shape, Split, name_or_id
from proxy.exchange import Answer, BrokerRequest, Call, Forward, InTurn, Later, Outcome

COMMIT: Final = Shape(skips_empty=True)
TRANSACTIONAL: Final = 28

CONFIRM_SECONDS: Final = 0.2
"""How long after a write one that was based on older positions may still arrive, at least."""

CONFIRM_ROUND_TRIPS: Final = 4
"""The same for a cluster far away, in round trips."""

CONFIRM_TRIES: Final = 5


def must_merge(call: Call, asked: Asked, alias: Alias) -> bool:
    """Where aliases share a topic; and where a client's own metadata looks like ours, so that it comes back intact."""
    return call.zone.rules.is_shared(alias.topic) or any(_looks_merged(partition) for partition in asked.partitions)


def _looks_merged(partition: Message) -> bool:
    return (partition.committed_metadata or "").startswith(positions.MARK)


def broker_request(call: Call, topics: tuple[Message, ...]) -> BrokerRequest:
    message = call.request.copy()
    message.group_id = call.zone.rules.qualify(call.request.group_id)
    if call.api_key == TRANSACTIONAL:
        message.transactional_id = call.zone.rules.qualify(call.request.transactional_id)
    message.topics = topics
    return BrokerRequest(call.api_key, call.version, message)


def codes_of(granted: Iterable[tuple[Asked, Alias]], response: Message) -> dict[Partition, int]:
    """What became of each backing partition of these topics."""
    names: dict[str | bytes, str] = {}
    for asked, alias in granted:
        names[asked.topic_id if asked.topic_id != ZERO_ID else alias.topic] = alias.topic
        names[alias.topic] = alias.topic
    codes: dict[Partition, int] = {}
    for topic in response.topics:
        key = topic.topic_id if "topic_id" in topic.struct.names else topic.name
        if key in names:
            codes |= {(names[key], partition.partition_index): partition.error_code for partition in topic.partitions}
    return codes


def answer(call: Call, split: Split, codes: Codes, response: Message | None = None) -> Answer:
    topics = split.answer_codes(call.response.nested("topics"), codes)
    return Answer(call.response.fit(topics=topics, throttle_time=getattr(response, "throttle_time", 0)))


class MergedCommit:
    """One such commit. Each method is a round."""

    def __init__(self, call: Call, split: Split) -> None:
        self._call = call
        self._split = split
        self._codes: dict[Partition, int] = {}
        self._own: dict[Partition, dict[str, Position]] = {}
        """What is still to be committed: each alias's position."""
        self._templates: dict[Partition, tuple[Asked, Message]] = {}
        for asked, alias in split.granted:
            for partition in asked.partitions:
                key = alias.topic, partition.partition_index
                self._templates.setdefault(key, (asked, partition))
                self._own.setdefault(key, {})[alias.name] = _committed(partition)
        self._response: Message | None = None
        self._started = 0.0
        self._tries = 0

    def begin(self) -> Outcome:
        return InTurn(self._call.zone.commits, self._call.request.group_id, self._read)

    def _read(self) -> Outcome:
        self._started = monotonic()
        return self._ask(self._own, self._write)

    def _ask(self, partitions: Iterable[Partition], then: Callable[[Message], Outcome]) -> Outcome:
        request = stored_positions.ask(self._call, partitions)
        return Forward((request,), lambda responses: then(responses[0]), exclusive=True)

    def _write(self, response: Message) -> Outcome:
        error, stored, failed = stored_positions.read(response)
        if error:
            self._codes |= dict.fromkeys(self._own, error)
            return self._finish()
        folded: dict[Partition, Position] = {}
        for key, code in failed.items():
            base = self._pending().get(key) if code == ErrorCode.UNSTABLE_OFFSET_COMMIT else None
            if base is not None:
                stored[key] = base
            elif key in self._own:
                # another transaction is about to replace it, and has to end first
                unstable = code == ErrorCode.UNSTABLE_OFFSET_COMMIT
                self._codes[key] = int(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) if unstable else code
                del self._own[key]
        for key, own in self._own.items():
            position = self._folded(key, own, stored.get(key, positions.NONE))
            if position is not None:
                folded[key] = position
            else:
                self._codes[key] = ErrorCode.OFFSET_METADATA_TOO_LARGE
        if not folded:
            return self._finish()
        request = broker_request(self._call, self._topics(folded))
        return Forward((request,), lambda responses: self._written(folded, responses[0]), exclusive=True)

    def _folded(self, key: Partition, own: Mapping[str, Position], stored: Position) -> Position | None:
        """One position for all aliases; None when it doesn't fit."""
        aliases = self._call.zone.rules.aliases_of(key[0])
        (first, *others) = own.values()
        if len(aliases) == 1 and not others and not first.metadata.startswith(positions.MARK):
            return first
        return positions.fold(stored, own, tuple(alias.name for alias in aliases))

    def _topics(self, folded: Mapping[Partition, Position]) -> tuple[Message, ...]:
        """The commit's topics as the broker gets them: one entry per backing partition."""
        by_topic: dict[str, list[Message]] = {}
        naming: dict[str, tuple[Struct, dict[str, str | bytes]]] = {}
        for (topic, index), position in folded.items():
            asked, partition = self._templates[topic, index]
            struct = asked.topic.struct
            naming.setdefault(topic, (struct, name_or_id(struct, COMMIT, topic, asked.topic_id)))
            by_topic.setdefault(topic, []).append(
                partition.struct.fit(
                    partition_index=index,
                    committed_offset=position.offset,
                    committed_leader_epoch=position.leader_epoch,
                    committed_metadata=position.metadata,
                )
            )
        return tuple(
            naming[topic][0].new(partitions=tuple(partitions), **naming[topic][1])
            for topic, partitions in by_topic.items()
        )

    def _written(self, folded: Mapping[Partition, Position], response: Message) -> Outcome:
        self._response = response
        codes = codes_of(self._split.granted, response)
        self._codes |= {key: codes.get(key, int(ErrorCode.UNKNOWN_SERVER_ERROR)) for key in folded}
        done = {key: position for key, position in folded.items() if not self._codes[key]}
        if self._call.api_key == TRANSACTIONAL:
            self._pending().update(done)
            return self._finish()
        self._own = {
            key: own for key, own in self._own.items() if key in done and self._call.zone.rules.is_shared(key[0])
        }
        if not self._own or self._is_sole_owner():
            return self._finish()
        pause = max(CONFIRM_SECONDS, CONFIRM_ROUND_TRIPS * (monotonic() - self._started))
        return Later(pause, lambda: self._ask(self._own, self._confirm))

    def _is_sole_owner(self) -> bool:
        request = self._call.request
        return self._call.zone.owners.covers(request.group_id, request.member_id, request.generation_id_or_member_epoch)

    def _confirm(self, response: Message) -> Outcome:
        """Is everything still there that was written?"""
        error, stored, failed = stored_positions.read(response)
        if error:
            self._codes |= dict.fromkeys(self._own, error)
            return self._finish()
        self._own = {
            key: own
            for key, own in self._own.items()
            if key in failed or not _holds(stored.get(key, positions.NONE), own)
        }
        if not self._own:
            return self._finish()
        self._tries += 1
        if self._tries < CONFIRM_TRIES:
            return self.begin()
        self._codes |= dict.fromkeys(self._own, int(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS))
        return self._finish()

    def _pending(self) -> dict[Partition, Position]:
        """What this transaction has committed so far in this group; nothing outside of a transaction."""
        request = self._call.request
        if self._call.api_key != TRANSACTIONAL:
            return {}
        transaction = request.producer_id, request.producer_epoch, request.group_id
        return self._call.zone.pending_commits.of(request.transactional_id, transaction)

    def _finish(self) -> Answer:
        return answer(self._call, self._split, self._codes, self._response)


def _holds(stored: Position, own: Mapping[str, Position]) -> bool:
    return all(positions.unfold(stored, alias) == mine for alias, mine in own.items())


def _committed(partition: Message) -> Position:
    epoch = getattr(partition, "committed_leader_epoch", -1)
    return Position(partition.committed_offset, epoch, partition.committed_metadata or "")
