"""Random messages of any API and version, drawn from the schema.

A field that `field_rules` calls a name draws from a `Palette`, every other one its default or something awkward.
How much of a message is awkward is drawn, too: a message of nothing but extremes never gets past the first check.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final

from policies.positions import MARK
from policies.subscriptions import MEMO_MARK
from protocol.codec import encode
from protocol.headers import encode_client_id, request_head
from protocol.schema import ZERO_ID, FieldSpec, Message, Struct, request_struct, response_struct
from tests.unit.protocol.messages import ERROR_CODES, with_unknown_tag
from tests.unit.proxy import blobs
from tests.unit.proxy.field_rules import PASSING, REQUEST, RESPONSE, Paths, Rule
from tests.unit.proxy.scenes import FORWARDED, Overrides, rules_of, scenes
from tests.unit.proxy.synthesis import DEFAULT, INDEX_NAMES

SECRET: Final = "secret-canary"
"""In every text that a broker says and no client may see."""
SECRET_ID: Final = b"\xf7secret-uuid\xf7"
"""The beginning of every id that a broker says and no client may see."""

TEXTS: Final = (
    "",
    "a",
    "ord*",
    "consumer",
    "range",
    "naïve ☃ 𝄞",
    "x" * 249,
    "x" * 250,
    "..",
    "__consumer_offsets",
    "a:b",
    "nul\0inside",
    "\r\n\t\x1b[31m\x7f",
    "\u202e\ufeff\u2028",
    "'\"{}[]%s\\",
)
STORED: Final = (
    MARK,
    MARK + "{}",
    MARK + '{"orders":[5,-1,""],"twin":[7,3,"text"]}',
    MARK + '{"orders":[1e999,-1,""]}',
    MARK + '{"twin":[1,-1,"\\ud800"]}',
    MARK + '{"twin":[-9223372036854775807,-2147483647,null],"x":[1]}',
    MARK + "[" * 5000,
)
"""What the gateway itself writes into a commit's metadata, and what looks like it."""
MEMBERS: Final = ("m1", "m2", "app-1", "")
MEMOS: Final = tuple(
    MEMO_MARK + urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
    for text in (
        '[["orders"],""]',
        '[["twin","stock"],"ord.*"]',
        '[["\\ud800"],"\\ud800"]',
        "[[],[]]",
        "[" * 5000,
        "7",
        "[1,2]",
    )
)
"""What it tells a broker for a subscription, and what looks like it."""
LONG_TEXTS: Final = ("y" * 5000, "☃" * 10_000, "z" * 32_767, "z" * 32_760)
PATTERNS: Final = (
    "ord.*",
    ".*",
    "",
    "[",
    "(a+)+$",
    "x{1000}",
    "^(orders|stock)$",
    "\\pN",
    "(?P<a>b)",
    "☃" * 50,
    "(" * 99,
)
BLOBS: Final = (b"", b"\0", b"records", bytes(range(256)), b"\xff" * 16)
ORDINARY: Final[Mapping[str, tuple[Any, ...]]] = {
    "string": ("", "a", "b"),
    "bytes": (b"", b"records"),
    "records": (b"", b"records"),
    "uuid": (ZERO_ID,),
    "bool": (False, True),
}
BITS: Final = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
BITS_OF: Final = {**BITS, "timedelta_i32": 32, "timedelta_i64": 64, "datetime_i64": 64, "error_code": 16}
CLIENT_IDS: Final = (
    None,
    b"",
    b"app",
    b"rdkafka",
    b"c" * 199,
    b"c" * 5000,
    b"\0\x01\x1b[2J\r\n",
    b"\xff\xfe\x80",
    "naïve ☃".encode(),
    b"partner:app",
    b"c" * 32_767,
)
CORRELATION_IDS: Final = (0, 1, -1, 2**31 - 1, -(2**31))
HEADER_TAGS: Final = (b"\x01\x00\x03abc", b"\x02\x00\x00\x05\x01x", b"\x01\xff\xff\xff\xff\x0f\x00")


@dataclass(frozen=True, slots=True)
class Palette:
    """The names that one side knows; `others` are those that it should not."""

    topics: Sequence[tuple[str, bytes]]
    groups: Sequence[str]
    transactions: Sequence[str]
    other_topics: Sequence[tuple[str, bytes]] = ()
    other_keys: Sequence[str] = ()
    secrets: bool = False
    """Texts that must not pass are marked with `SECRET`."""


@dataclass(slots=True)
class Draw:
    """One message being drawn."""

    rng: Random
    palette: Palette
    tame: float
    """The share of fields that are ordinary."""
    size: int
    """How many elements arrays have, at most and about."""
    others: float = 0.0
    """The share of names from the palette's others."""


Maker = Callable[[Draw, int], Any]
"""(draw, depth) -> value"""


def random_text(rng: Random) -> str:
    if rng.random() < 0.005:
        return rng.choice(LONG_TEXTS)
    return rng.choice(TEXTS)


def random_integer(rng: Random, bits: int) -> int:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return rng.choice((0, 1, 2, -1, -2, low, high, rng.randint(low, high)))


def _scalar(draw: Draw, kafka_type: str) -> Any:
    rng = draw.rng
    if kafka_type == "error_code" and rng.random() < 0.9:
        return rng.choice(ERROR_CODES)
    bits = BITS_OF.get(kafka_type)
    if bits is not None:
        return random_integer(rng, bits)
    match kafka_type:
        case "bool":
            return rng.random() < 0.5
        case "uint16":
            return rng.randint(0, 0xFFFF)
        case "float64":
            return rng.choice((0.0, -1.5, 1e300, float("nan"), float("-inf")))
        case "uuid":
            return rng.choice((ZERO_ID, rng.randbytes(16)))
        case "string":
            return random_text(rng)
        case "bytes" | "records":
            return rng.choice(BLOBS)
    raise AssertionError(f"no values for {kafka_type}")


def _secret(draw: Draw, spec: FieldSpec) -> Any:
    """A value that is nobody's but the broker's."""
    number = draw.rng.randrange(1000)
    if spec.kafka_type == "uuid":
        return SECRET_ID + number.to_bytes(3, "big")
    text = f"{SECRET}-{number}"
    return text if spec.kafka_type == "string" else text.encode()


def _topic(draw: Draw) -> tuple[str, bytes]:
    rng, palette = draw.rng, draw.palette
    if draw.others and rng.random() < draw.others:
        return rng.choice(palette.other_topics)
    if rng.random() < 0.85:
        return rng.choice(palette.topics)
    unknown = SECRET_ID + rng.randbytes(3) if palette.secrets else rng.randbytes(16)
    return random_text(rng), rng.choice((ZERO_ID, unknown))


def _key(draw: Draw, own: Sequence[str]) -> str:
    rng = draw.rng
    if draw.others and rng.random() < draw.others:
        return rng.choice(draw.palette.other_keys)
    return rng.choice(own) if rng.random() < 0.85 else random_text(rng)


def _blob(draw: Draw, spec: FieldSpec) -> bytes:
    rng = draw.rng
    if rng.random() < 0.15:
        return rng.choice(BLOBS)
    names = [_topic(draw)[0] for _ in range(rng.randrange(4))]
    write = blobs.subscription if spec.name.endswith("metadata") else blobs.assignment
    blob = write(names, rng.choice(BLOBS))
    return blob if rng.random() < 0.85 else blob[: rng.randrange(len(blob) + 1)]


_NAMES: Final[Mapping[Rule, Callable[[Draw], Any]]] = {
    Rule.TOPIC: lambda draw: _topic(draw)[0],
    Rule.TOPIC_ID: lambda draw: _topic(draw)[1],
    Rule.GROUP: lambda draw: _key(draw, draw.palette.groups),
    Rule.TRANSACTION: lambda draw: _key(draw, draw.palette.transactions),
    Rule.COORDINATOR: lambda draw: _key(draw, (*draw.palette.groups, *draw.palette.transactions)),
    Rule.RESOURCE: lambda draw: draw.rng.choice((_topic(draw)[0], _key(draw, draw.palette.groups), "1", "")),
    Rule.PATTERN: lambda draw: draw.rng.choice(MEMOS if draw.palette.secrets else PATTERNS),
    Rule.MEMBER: lambda draw: draw.rng.choice(MEMBERS) if draw.rng.random() < 0.8 else random_text(draw.rng),
    Rule.OWN_TEXT: lambda draw: draw.rng.choice(STORED) if draw.rng.random() < 0.4 else random_text(draw.rng),
}


def _named(spec: FieldSpec, rule: Rule | None) -> Callable[[Draw], Any] | None:
    """What draws a value for a field that is a name; None where the rule says nothing about its value."""
    if rule is Rule.BLOB:
        return lambda draw: _blob(draw, spec)
    if rule is None or (rule is not Rule.TOPIC_ID and spec.kafka_type != "string"):
        return None
    return _NAMES.get(rule)


def _leaf(spec: FieldSpec, rule: Rule | None, tame_values: Sequence[Any]) -> Maker:
    """One value of a field that isn't a struct."""
    named = _named(spec, rule)
    if named is not None:
        draw_name = named
        return lambda draw, _depth: draw_name(draw)
    is_secret = rule is not None and rule not in PASSING and rule is not Rule.SYNONYM
    is_secret = is_secret and spec.kafka_type in ("string", "uuid", "bytes", "records")
    kafka_type = spec.kafka_type

    def make(draw: Draw, _depth: int) -> Any:
        if draw.palette.secrets and is_secret:
            return _secret(draw, spec)
        if draw.rng.random() < draw.tame:
            return draw.rng.choice(tame_values)
        return _scalar(draw, kafka_type)

    return make


def _tame_values(spec: FieldSpec, path: str, tame: Sequence[Overrides]) -> tuple[Any, ...]:
    """What an ordinary client or broker would say."""
    values = tuple(overrides[path] for overrides in tame if path in overrides)
    if values and not spec.array:
        return tuple(spec.default if value is DEFAULT else value for value in values)
    if spec.name in INDEX_NAMES or spec.name == "partition_indexes":
        return (0, 1, 0, 1, 2)
    if spec.name == "resource_type":
        return (2, 32, 4)
    if spec.name == "protocol_type":
        return ("consumer",)
    if spec.array or (spec.kafka_type == "string" and not spec.nullable):
        return ORDINARY.get(spec.kafka_type, (0, 1, 2))
    return (spec.default,)


def _array(item: Maker, plain: bool) -> Maker:
    def make(draw: Draw, depth: int) -> Any:
        count = draw.rng.randint(0, max(draw.size - depth, 1))
        if plain and draw.rng.random() < 0.01:
            count = 300
        return tuple([item(draw, depth + 1) for _ in range(count)])

    return make


def _maybe(maker: Maker, other: Any, chance: float) -> Maker:
    return lambda draw, depth: other if draw.rng.random() < chance else maker(draw, depth)


def _field(spec: FieldSpec, path: str, rules: Paths, tame: Sequence[Overrides]) -> Maker:
    if spec.nested is not None:
        item = _struct(spec.nested, f"{path}.", rules, tame)
    else:
        item = _leaf(spec, rules.get(path), _tame_values(spec, path, tame))
    maker = _array(item, spec.nested is None) if spec.array else item
    if spec.nullable and (spec.tag is None or spec.default is None):
        maker = _maybe(maker, None, 0.15)
    return _maybe(maker, spec.default, 0.5) if spec.tag is not None else maker


def _struct(struct: Struct, prefix: str, rules: Paths, tame: Sequence[Overrides]) -> Maker:
    makers = [(spec.name, _field(spec, prefix + spec.name, rules, tame)) for spec in struct.fields]
    new = struct.type

    def make(draw: Draw, depth: int) -> Message:
        message = new()
        for name, maker in makers:
            setattr(message, name, maker(draw, depth))
        return message

    return make


_PLAYED: Final = frozenset(FORWARDED)


@cache
def _maker(key: int, version: int, side: str, with_tags: bool) -> Maker:
    struct = request_struct(key, version) if side == REQUEST else response_struct(key, version)
    rules = rules_of(key, side, struct)
    tame: Sequence[Overrides] = scenes(key, version) if side == REQUEST and (key, version) in _PLAYED else ()
    return _struct(with_unknown_tag(struct) if with_tags else struct, "", rules, tame)


def draw_message(rng: Random, key: int, version: int, side: str, palette: Palette, others: float = 0.0) -> Message:
    """A request or response body."""
    tame = rng.choice((1.0, 1.0, 0.95, 0.8, 0.5, 0.0))
    size = rng.choice((1, 1, 2, 2, 3, 4)) if rng.random() < 0.99 else 12
    draw = Draw(rng, palette, tame, size, others)
    return _maker(key, version, side, rng.random() < 0.1)(draw, 0)


def draw_request(rng: Random, key: int, version: int, palette: Palette, others: float = 0.0) -> bytes:
    """A whole request."""
    body = encode(draw_message(rng, key, version, REQUEST, palette, others))
    return with_header(rng, key, version, bytes(body), request_struct(key, version).flexible)


def with_header(rng: Random, key: int, version: int, body: bytes, flexible: bool) -> bytes:
    """A body behind a random header."""
    client_id = b"app" if rng.random() < 0.8 else rng.choice(CLIENT_IDS)
    correlation_id = rng.choice(CORRELATION_IDS) if rng.random() < 0.2 else random_integer(rng, 32)
    if flexible and rng.random() < 0.05:
        body = rng.choice(HEADER_TAGS) + body
        flexible = False
    head = request_head(len(body), key, version, correlation_id, encode_client_id(client_id), flexible)
    return head + body


def draw_response_body(rng: Random, key: int, version: int, palette: Palette) -> bytes:
    return bytes(encode(draw_message(rng, key, version, RESPONSE, palette)))
