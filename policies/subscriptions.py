"""What a subscription in the consumer protocol (KIP-848) means: aliases for the client, backing topics for the broker.

A regular expression is evaluated here, against the zone's aliases, as a broker does it against its topics: RE2, on the
whole name. The broker is told backing topics only. Where these cannot tell what the client said (a regular expression,
or one alias of several), the broker is given a memo as well: the client's own words in the form of a regular expression
that matches no topic, since a colon is in no topic's name. So every gateway can tell them from what the broker stores.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import re2

from policies.zone import ZoneRules

MEMO_MARK: Final = "zonegate:1:"
"""What every version of the memo begins with: product, version."""

CACHED_MEANINGS: Final = 1024
"""Members of one group say the same, and every heartbeat asks what it means."""

MAX_REGEX: Final = 65536
"""Characters: it is kept for each member, here and by the broker, whose records have a size as well."""

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20
"""Bytes per expression; RE2 refuses to compile what would need more."""


class InvalidPatternError(ValueError):
    """Not a regular expression in RE2's syntax, or too large a one."""


@dataclass(frozen=True, slots=True)
class Words:
    """A subscription as the client said it. Both may be given, and mean the union."""

    names: tuple[str, ...] = ()
    """Sorted, each once."""
    regex: str = ""
    """Empty for none."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a client's words mean in a zone as it is now."""

    aliases: tuple[str, ...]
    topics: tuple[str, ...]
    """The backing topics, each once."""
    shared: tuple[str, ...]
    """Those of them that have further aliases in the zone, subscribed to or not."""
    memo: str
    """What the broker is given as the regular expression; empty where the topics tell all."""

    def aliases_of(self, rules: ZoneRules, topic: str) -> tuple[str, ...]:
        """The aliases of one backing topic that are meant."""
        return tuple(alias.name for alias in rules.aliases_of(topic) if alias.name in self.aliases)


def words(names: Iterable[str], regex: str) -> Words:
    """A subscription in the form in which equal ones are equal."""
    return Words(tuple(sorted(set(names))), regex)


@lru_cache(maxsize=CACHED_MEANINGS)
def meaning(rules: ZoneRules, said: Words) -> Meaning:
    """What was said means here; names that are no aliases mean nothing. Raises InvalidPatternError."""
    meant = {name for name in said.names if rules.alias(name) is not None}
    if said.regex:
        meant |= _matches(rules, said.regex)
    aliases = [alias for alias in rules.aliases if alias.name in meant]
    topics = sorted({alias.topic for alias in aliases})
    shared = tuple(topic for topic in topics if rules.is_shared(topic))
    memo = _memo(said) if said.regex or shared else ""
    return Meaning(tuple(sorted(meant)), tuple(topics), shared, memo)


def _matches(rules: ZoneRules, regex: str) -> set[str]:
    if len(regex) > MAX_REGEX:
        raise InvalidPatternError
    try:
        pattern = re2.compile(regex, _OPTIONS)
    except re2.error as error:
        raise InvalidPatternError from error
    return {alias.name for alias in rules.aliases if pattern.fullmatch(alias.name) is not None}


def _memo(said: Words) -> str:
    text = json.dumps([said.names, said.regex], ensure_ascii=False, separators=(",", ":"))
    return MEMO_MARK + urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def recall(memo: str | None) -> Words | None:
    """What the client said, by what the broker has stored; None where that is no memo of ours."""
    if memo is None or not memo.startswith(MEMO_MARK):
        return None
    encoded = memo[len(MEMO_MARK) :]
    try:
        names, regex = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        # JSON can spell halves of characters, which no text of ours has and no message can carry
        "".join((*names, regex)).encode()
    except (Base64Error, ValueError, TypeError, RecursionError):
        return None
    return words(names, regex) if isinstance(names, list) else None
