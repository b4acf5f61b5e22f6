"""Makes up what happens in a world: what clients and brokers say next, seeing what has been said before."""

import dataclasses
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Final

from protocol.codec import encode
from protocol.framing import STREAM_MIN_BYTES
from protocol.headers import response_head
from protocol.oauthbearer import OAUTHBEARER
from protocol.schema import API_NAMES, known_versions, request_struct, response_struct
from proxy.apis.plan import Treatment
from proxy.apis.table import OFFERED, TABLE, all_plans
from tests.fuzz.answers import Answers
from tests.fuzz.checks import API_VERSIONS, FETCH, OTHER_TOPIC, PRODUCE, SASL_HANDSHAKE, Failure
from tests.fuzz.messages import (
    Palette,
    draw_request,
    random_text,
    with_header,
)
from tests.fuzz.mutations import RESPONSE_MUTATIONS, mutate, with_length
from tests.fuzz.settings import ACCOUNTS, LIMITS_OF_ZONES
from tests.fuzz.stage import Pair, World
from tests.fuzz.steps import EVERY_BYTE, WHOLE, Kind, Script, Step
from tests.fuzz.tokens import TOKEN_VERSIONS, draw_mechanism, draw_token
from tests.unit.proxy.borders import ALIASES, BACKING, BACKING_IDS, GROUPS, PREFIX, TRANSACTIONS
from tests.unit.proxy.playbook import MAPPED_BROKERS, ZONE, Playbook
from tests.unit.proxy.synthesis import topic_id

WORLD_FRAMES: Final = 300
"""Then a new world, so that a failure's steps stay few; long enough for members, transactions and ids to meet."""
SPLIT_BYTES: Final = 500
"""Up to here, frames are split at every byte."""
MAX_PAIRS: Final = 3

SERVED: Final = tuple(key for key in OFFERED if TABLE[key].treatment in (Treatment.REWRITE, Treatment.FILTER))
LOCAL: Final = (SASL_HANDSHAKE, API_VERSIONS, 36)
REFUSED: Final = tuple(sorted({plan.key for plan in all_plans().values()} - set(SERVED)))
ALL: Final = tuple(API_NAMES)
GROUP_KEYS: Final = (8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68, 69)
TRANSACTION_KEYS: Final = (0, 22, 24, 25, 26, 28, 65, 66, 10)
RECORD_KEYS: Final = (0, 1, 2, 3, 23)
LIMITED_KEYS: Final = (0, 1, 8, 12, 28)

OUTSIDE: Final = tuple((topic, topic_id(topic)) for topic in ("elsewhere", OTHER_TOPIC)) + tuple(
    zip(BACKING, BACKING_IDS, strict=True)
)
OUTSIDE_KEYS: Final = (f"{PREFIX}g", "other:g", "other:tx", "stranger-group", f"{PREFIX}tx")


def client_palette(playbook: Playbook) -> Palette:
    """What clients of the usual zone know; those of the other one use the same names."""
    return Palette(
        topics=tuple((alias, playbook.alias_id(alias)) for alias in ALIASES),
        groups=GROUPS,
        transactions=TRANSACTIONS,
        other_topics=OUTSIDE,
        other_keys=OUTSIDE_KEYS,
    )


@dataclass(slots=True)
class Persona:
    """How one client and its broker behave."""

    user: str
    damaged: float
    broker_damaged: float
    others: float
    keys: tuple[int, ...]
    signs_in: bool
    frames_left: int
    mechanism: str
    pending: deque[bytes] = field(default_factory=deque)
    """The rest of a large frame of the client's."""
    broker_pending: deque[bytes] = field(default_factory=deque)
    tried_sign_in: bool = False


def _persona(rng: Random, mechanisms: tuple[str, ...]) -> Persona:
    return Persona(
        user=ZONE.service_account if rng.random() < 0.9 else rng.choice(tuple(ACCOUNTS)),
        damaged=rng.choice((0.0, 0.05, 0.3, 0.6)),
        broker_damaged=rng.choice((0.0, 0.0, 0.1, 0.4)),
        others=0.2 if rng.random() < 0.06 else 0.0,
        keys=rng.choice(((), (), (), GROUP_KEYS, TRANSACTION_KEYS, RECORD_KEYS, REFUSED, (rng.choice(ALL),))),
        signs_in=rng.random() < 0.85,
        frames_left=rng.choice((3, 10, 30, 60)),
        mechanism=draw_mechanism(rng, mechanisms),
    )


class Player:
    """Plays one world from its first step to its last."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._palette = client_palette(world.playbook)
        self._personas: dict[int, Persona] = {}
        self._next_pair = 1
        self._last_frame = b"\0\0\0\x00"
        self._answers = Answers()
        self._broker_is_away = False

    def play(self, frames: int = WORLD_FRAMES) -> None:
        pairs = self._rng.choice((1, 1, 2, MAX_PAIRS))
        while self._world.frames < frames:
            if len(self._world.pairs) < pairs:
                self._connect()
            else:
                number = self._rng.choice(tuple(self._world.pairs))
                self._world.do(self._move(number))
        self._world.finish()

    def _connect(self) -> None:
        number, self._next_pair = self._next_pair, self._next_pair + 1
        persona = self._personas[number] = _persona(self._rng, self._world.mechanisms)
        if self._world.setting == "limited" and self._rng.random() < 0.7:
            persona.keys = LIMITED_KEYS
        broker_id = 0 if self._rng.random() < 0.1 else self._rng.choice(MAPPED_BROKERS)
        self._world.do(Step(Kind.CONNECT, number, number=broker_id))
        if self._broker_is_away or self._rng.random() < 0.05:
            text = "an answer" if self._broker_is_away else self._rng.choice(("a refusal", "an end at once"))
            self._broker_is_away = not self._broker_is_away
            self._world.do(Step(Kind.CONNECTS, number, text=text))

    def _move(self, number: int) -> Step:
        pair, persona, rng = self._world.pairs[number], self._personas[number], self._rng
        if persona.broker_pending and rng.random() < 0.5:
            return Step(Kind.BROKER, number, persona.broker_pending.popleft(), damaged=True)
        if pair.broker.waiting and not persona.broker_pending and rng.random() < 0.4 + len(pair.broker.waiting) / 10:
            return self._answer(number, pair, persona)
        if rng.random() < 0.05:
            return self._event(number, rng)
        if persona.pending:
            return Step(Kind.CLIENT, number, persona.pending.popleft())
        if not pair.ready:
            return self._before(number, persona)
        if persona.frames_left <= 0 and rng.random() < 0.3:
            return Step(Kind.HANG_UP, number, text=rng.choice(("client", "client", "broker")))
        return self._requests(number, persona)

    def _event(self, number: int, rng: Random) -> Step:
        match rng.randrange(13):
            case 12:
                return Step(Kind.ZONES, number, text=self._change(rng))
            case 0:
                return Step(Kind.HANG_UP, number, text=rng.choice(("client", "broker")))
            case 1:
                return Step(Kind.DRAIN, number)
            case 2:
                return Step(Kind.DEADLINES, number, number=rng.choice((1, 5, 12, 40, 100, 700)))
            case 3 | 4:
                return Step(Kind.STOP_READING, number, text=rng.choice(("client", "broker")))
            case 5 | 6 | 7:
                return Step(Kind.READ_AGAIN, number, text=rng.choice(("client", "broker")))
        return Step(Kind.TIME, number, number=rng.choice((1, 1, 3, 60)))

    def _change(self, rng: Random) -> str:
        """Of the zones."""
        if self._world.setting == "limited" and rng.random() < 0.8:
            return rng.choice(tuple(LIMITS_OF_ZONES))
        return rng.choice(("few aliases", "all aliases", "all aliases"))

    # the client

    def _before(self, number: int, persona: Persona) -> Step:
        """A client that has not signed in yet."""
        rng = self._rng
        persona.frames_left -= 1
        if persona.signs_in and not persona.tried_sign_in:
            persona.tried_sign_in = True
            return self._sign_in(number, persona.user)
        if persona.frames_left <= 0 and rng.random() < 0.3:
            return Step(Kind.HANG_UP, number, text="client")
        match rng.randrange(8):
            case 0 | 1:
                return self._handshake(number, persona)
            case 2 | 3 | 4:
                return self._token(number, persona)
            case 5:
                return Step(Kind.TIME, number, number=1)
            case 6:
                return self._requests(number, persona)
        rubbish = rng.choice(
            (rng.randbytes(rng.randrange(1, 60)), b"\x16\x03\x01\x02\0\x01", b"GET / HTTP/1.1\r\n\r\n")
        )
        return Step(Kind.CLIENT, number, rubbish, cut=self._cut(rubbish), frames=1)

    def _sign_in(self, number: int, user: str) -> Step:
        """Mostly with the mechanism that costs the least."""
        rng, known = self._rng, [name for name in self._world.mechanisms if name.startswith(("PLAIN", "SCRAM"))]
        name = "PLAIN" if rng.random() < 0.95 else rng.choice(known)
        if ACCOUNTS[user].authentication == OAUTHBEARER:
            name = OAUTHBEARER
        cut = rng.choice((WHOLE, WHOLE, EVERY_BYTE))
        return Step(Kind.SIGN_IN, number, name.encode(), text=user, cut=cut, frames=2)

    def _handshake(self, number: int, persona: Persona) -> Step:
        version = self._rng.choice((0, 1, 1))
        struct = request_struct(SASL_HANDSHAKE, version)
        frame = self._damaged(
            with_header(
                self._rng, SASL_HANDSHAKE, version, bytes(encode(struct.new(mechanism=persona.mechanism))), False
            ),
            persona.damaged / 3,
        )
        return Step(Kind.CLIENT, number, frame, cut=self._cut(frame), frames=1)

    def _token(self, number: int, persona: Persona) -> Step:
        token = draw_token(self._rng, persona.mechanism)
        version = -1 if self._rng.random() < 0.4 else self._rng.choice(TOKEN_VERSIONS)
        return Step(Kind.TOKEN, number, token, cut=self._cut(token), number=version, frames=1)

    def _requests(self, number: int, persona: Persona) -> Step:
        rng = self._rng
        roll = rng.random()
        if roll < 0.01:
            return self._sign_in(number, rng.choice((persona.user, persona.user, *ACCOUNTS)))
        if roll < 0.02:
            return self._handshake(number, persona)
        if roll < 0.04:
            return self._token(number, persona)
        if roll < 0.06:
            return self._large(number, persona)
        if roll < 0.10:
            return self._fetch(number, persona)
        count = rng.choice((1, 1, 1, 2, 3, 6, 12))
        data = b"".join(self._frame(persona) for _ in range(count))
        persona.frames_left -= count
        return Step(Kind.CLIENT, number, data, cut=self._cut(data), frames=count)

    def _frame(self, persona: Persona) -> bytes:
        rng = self._rng
        key, version = self._api(persona)
        frame = draw_request(rng, key, version, self._palette, persona.others)
        frame = self._damaged(frame, persona.damaged)
        self._last_frame = frame
        return frame

    def _damaged(self, frame: bytes, chance: float) -> bytes:
        return mutate(self._rng, frame, self._last_frame) if self._rng.random() < chance else frame

    def _api(self, persona: Persona) -> tuple[int, int]:
        rng = self._rng
        if persona.keys and rng.random() < 0.9:
            key = rng.choice(persona.keys)
        else:
            key = rng.choice(rng.choice((SERVED, SERVED, SERVED, SERVED, SERVED, SERVED, SERVED, REFUSED, LOCAL, ALL)))
        known = known_versions(key)
        versions = TABLE[key].versions
        if versions is None or rng.random() < 0.02:
            return key, rng.randint(*known)
        return key, rng.randint(*versions)

    def _large(self, number: int, persona: Persona) -> Step:
        """A request that is handed on, or assembled, while it comes in; other things happen in between."""
        rng = self._rng
        size = rng.choice((STREAM_MIN_BYTES, 40_000, 120_000, 200_000))
        if rng.random() < 0.8:
            version = rng.randint(*OFFERED[PRODUCE])
            frame = self._produce(version, bytes(size))
        else:
            key, version = self._api(persona)
            frame = with_length(draw_request(rng, key, version, self._palette) + bytes(size))
        frame = self._damaged(frame, persona.damaged / 2) + (self._frame(persona) if rng.random() < 0.3 else b"")
        cuts = sorted(rng.randrange(len(frame)) for _ in range(rng.randrange(5)))
        if rng.random() < 0.3:
            cuts = [rng.choice((3, 4, 13, 14, 30, 1023, 1024)), *(cut for cut in cuts if cut > 1024)]
        parts = [frame[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(frame)], strict=True)]
        persona.pending.extend(parts[1:])
        persona.frames_left -= 1
        return Step(Kind.CLIENT, number, parts[0], frames=1)

    def _produce(self, version: int, records: bytes) -> bytes:
        """A large one of an ordinary producer, mostly."""
        rng = self._rng
        struct = request_struct(PRODUCE, version)
        topic = struct.nested("topic_data")
        partition = topic.nested("partition_data").new(index=rng.randrange(3), records=records)
        name, identity = rng.choice(self._palette.topics)
        message = struct.new(
            transactional_id=rng.choice((None, None, "tx", random_text(rng))),
            acks=rng.choice((-1, 1, 0)),
            timeout=1000,
            topic_data=(topic.fit(name=name, topic_id=identity, partition_data=(partition,)),),
        )
        return with_header(rng, PRODUCE, version, bytes(encode(message)), struct.flexible)

    def _fetch(self, number: int, persona: Persona) -> Step:
        """One of an ordinary consumer, whose answer can be handed on while it comes in."""
        rng = self._rng
        version = rng.randint(*OFFERED[FETCH])
        struct = request_struct(FETCH, version)
        topic = struct.nested("topics")
        partition = topic.nested("partitions")
        chosen = rng.sample(self._palette.topics, rng.choice((1, 1, 2, 2, 3)))
        topics = tuple(
            topic.fit(
                topic=name,
                topic_id=identity,
                partitions=tuple(partition.fit(partition=index) for index in range(rng.choice((1, 2)))),
            )
            for name, identity in chosen
        )
        message = struct.fit(
            max_wait=500, min_bytes=1, max_bytes=1 << 20, session_epoch=rng.choice((0, -1)), topics=topics
        )
        frame = with_header(rng, FETCH, version, bytes(encode(message)), struct.flexible)
        frame = self._damaged(frame, persona.damaged / 2)
        persona.frames_left -= 1
        return Step(Kind.CLIENT, number, frame, cut=self._cut(frame), frames=1)

    def _cut(self, data: bytes) -> int:
        roll = self._rng.random()
        if roll < 0.12 and len(data) <= SPLIT_BYTES:
            return EVERY_BYTE
        return self._rng.randrange(2, 1 << 30) if roll < 0.2 else WHOLE

    # the broker

    def _answer(self, number: int, pair: Pair, persona: Persona) -> Step:
        rng, got = self._rng, pair.broker.waiting[0]
        if rng.random() < persona.broker_damaged / 20:
            data = rng.randbytes(rng.randrange(1, 60))
            return Step(Kind.BROKER, number, data, cut=self._cut(data), damaged=True, frames=1)
        flexible = response_struct(got.key, got.version).flexible
        body = self._answers.body(rng, got)
        frame = response_head(len(body), 0, flexible) + body
        damaged = rng.random() < persona.broker_damaged
        if damaged:
            frame = mutate(rng, frame, self._last_frame, RESPONSE_MUTATIONS)
        step = Step(
            Kind.BROKER, number, frame, cut=self._cut(frame), answers=rng.random() < 0.99, damaged=damaged, frames=1
        )
        if len(frame) > STREAM_MIN_BYTES and step.answers and rng.random() < 0.7:
            return self._answer_in_parts(step, persona)
        return step

    def _answer_in_parts(self, step: Step, persona: Persona) -> Step:
        """While the client and others go on."""
        rng, data = self._rng, step.data
        cuts = [rng.choice((3, 8, 12, 1023, 1024, 4000)), rng.randrange(5000, len(data))]
        if rng.random() < 0.5:
            # within what stands behind the last records, and between them
            cuts += rng.choices(range(len(data) - 60, len(data)), k=3) + rng.choices(range(5000, len(data)), k=3)
        cuts = sorted(set(cuts))
        parts = [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        persona.broker_pending.extend(parts[1:])
        return dataclasses.replace(step, data=parts[0], cut=WHOLE)


def play_world(seed: int, index: int, frames: int = WORLD_FRAMES) -> tuple[World, Failure | None]:
    """Play the world of this number; the failure that ended it, if one did."""
    rng = Random(f"{seed}/{index}")  # noqa: S311 - test data
    world = World(rng.choice(("newest", "newest", "newest", "limited", "older", "few", "typed", "short")))
    with world:
        try:
            Player(world, rng).play(frames)
        except Failure as failure:
            return world, failure
    return world, None


def replay(script: Script) -> Failure | None:
    """Play the steps of a script; the failure that they end in."""
    with World(script.setting) as world:
        try:
            for step in script.steps:
                world.do(step)
            world.finish()
        except Failure as failure:
            return failure
    return None
