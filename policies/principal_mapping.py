"""From a certificate's subject to a service account: Kafka's `ssl.principal.mapping.rules`.

`RULE:pattern/replacement/[LU]` or DEFAULT, with commas between them, the first that matches counts. As with Kafka, a
pattern must match the whole subject, and then replaces every match in it; `$1` of a group that doesn't exist is text.

Kafka's patterns are Java's, these are RE2's, so that no subject can stall the event loop. What RE2 lacks or reads in
another way is refused: lookaround, back references, possessive quantifiers, flags such as (?i), `&&` and `[` within
[…], \\b, \\Q…\\E and all escapes but those in `_PIECE`, and a group that can match nothing where it is repeated. So
is a replacement on which Java fails at the first match. What remains means the same, but for control characters and
line ends; a subject with one of these is nobody's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import re2

MAX_SUBJECT: Final = 2048
"""Characters; X.520 gives a common name 64."""

_RULE: Final = r"DEFAULT|RULE:(?P<pattern>(?:\\.|[^\\/])*)/(?P<replacement>(?:\\.|[^\\/])*)/(?P<case>[LU]?)"
_SPLITTER: Final = re.compile(rf"\s*(?P<rule>(?:{_RULE}).*?|.*?)\s*(?:,\s*|$)", re.ASCII)
_PARSER: Final = re.compile(_RULE)

_ESCAPE: Final = r"\\(?:[^A-Za-z0-9]|[dDsSwWtnrfAz]|x[0-9A-Fa-f]{2}|[pP](?:[A-Z]|\{[A-Z][a-z]?\}))"
_PIECE: Final = re.compile(
    rf"{_ESCAPE}|\[\^?(?:{_ESCAPE}|[^\\\[\]&]|&(?!&))+\]|\((?!\?)|\(\?:|\(\?<[A-Za-z][A-Za-z0-9]*>"
    r"|\{[0-9]+(?:,[0-9]*)?\}|[^\\\[({]"
)
"""What Java and RE2 read alike."""

_REFERENCE: Final = re.compile(r"\$([0-9]{1,9})")
_UNMAPPED: Final = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20
"""Bytes per expression; RE2 refuses to compile what would need more."""


class InvalidRuleError(ValueError):
    """Not a rule of Kafka's, or none that can be kept here; the text quotes it."""


class PrincipalMapper:
    """Rules, ready to be applied. Raises InvalidRuleError."""

    def __init__(self, rules: str) -> None:
        self._rules = tuple(_parse(rule) for rule in _split(rules))

    def __len__(self) -> int:
        return len(self._rules)

    def name_of(self, subject: str) -> str | None:
        """Whom a subject names; None where no rule matches, which Kafka has end the connection."""
        if len(subject) > MAX_SUBJECT or _UNMAPPED.search(subject):
            return None
        return next((name for rule in self._rules if (name := rule.apply(subject)) is not None), None)


@dataclass(frozen=True, slots=True)
class _Default:
    """The subject as it is."""

    def apply(self, subject: str) -> str | None:
        return subject


class _Rule:
    """One RULE: pattern, replacement, and which case the result gets."""

    def __init__(self, pattern: str, replacement: str, case: str) -> None:
        self._pattern = _compile(pattern)
        groups = self._pattern.groups
        self._pieces = tuple(_pieces(_escape_unknown(replacement, groups), groups, self._pattern.groupindex))
        self._case = case

    def apply(self, subject: str) -> str | None:
        if self._pattern.fullmatch(subject) is None:
            return None
        name = self._replace_all(subject)
        return name.lower() if self._case == "L" else name.upper() if self._case == "U" else name

    def _replace_all(self, subject: str) -> str:
        """Java's replaceAll: after an empty match the search goes on behind the next character."""
        made, copied, at = [], 0, 0
        while at <= len(subject) and (match := self._pattern.search(subject, at)) is not None:
            made.append(subject[copied : match.start()])
            made += [piece if isinstance(piece, str) else match.group(piece[0]) or "" for piece in self._pieces]
            copied = match.end()
            at = match.end() + (match.end() == match.start())
        return "".join((*made, subject[copied:]))


def _split(rules: str) -> Iterator[str]:
    """Each rule; commas and slashes within its two parts don't end it, and empty ones are passed over."""
    text = rules.strip("".join(map(chr, range(0x21))))
    return (match["rule"] for match in _SPLITTER.finditer(text) if match["rule"])


def _parse(rule: str) -> _Default | _Rule:
    match = _PARSER.fullmatch(rule)
    if match is None:
        raise InvalidRuleError(f"{rule!r} is not a rule; write DEFAULT or RULE:pattern/replacement/, RULE:…/…/L or …/U")
    if match["pattern"] is None:
        return _Default()
    try:
        return _Rule(match["pattern"], match["replacement"], match["case"])
    except InvalidRuleError as error:
        raise InvalidRuleError(f"{rule!r}: {error}") from None


def _compile(pattern: str) -> "re2._Regexp":
    _check_translatable(pattern)
    return _re2(pattern)


def _re2(pattern: str) -> "re2._Regexp":
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else ""
        raise InvalidRuleError(f"the pattern is not a regular expression of RE2: {reason}") from None


def _check_translatable(pattern: str) -> None:
    """Raises InvalidRuleError for what Java and RE2 don't read alike."""
    at, names, opened, group = 0, set[str](), list[int](), ""
    while at < len(pattern):
        match = _PIECE.match(pattern, at)
        if match is None or match[0] in names:
            raise InvalidRuleError(f"the pattern from {pattern[at:]!r} on is beyond the regular expressions of RE2")
        piece = match[0]
        if piece[0] in "*+{" and group and _re2(group).fullmatch("") is not None:
            raise InvalidRuleError(f"the pattern repeats {group!r}, which can match nothing; make it match something")
        group = ""
        if piece.startswith("(?<"):
            names.add(piece)
        if piece[0] == "(":
            opened.append(at)
        elif piece == ")" and opened:
            group = pattern[opened.pop() : match.end()]
        at = match.end()


def _escape_unknown(replacement: str, groups: int) -> str:
    """Kafka's own: makes text of references to groups that don't exist. With no groups at all they stay errors."""
    made = replacement
    for match in _REFERENCE.finditer(replacement) if groups else ():
        number = int(match[1])
        while number > groups and number >= 10:
            number //= 10
        if number > groups:
            # not shifted by the backslashes before it, as with Kafka, so that a second one still is an error
            made = made[: match.start()] + "\\" + made[match.start() :]
    return made


def _pieces(replacement: str, groups: int, names: dict[str, int]) -> Iterator[str | tuple[int]]:
    """A replacement in Java's syntax as text and group numbers: `\\` takes the next character as it is, `$` refers."""
    at = 0
    while at < len(replacement):
        at += 1
        match replacement[at - 1]:
            case "\\":
                if at == len(replacement):
                    raise InvalidRuleError("the replacement ends in the middle of an escape")
                yield replacement[at]
                at += 1
            case "$":
                number, at = _reference(replacement, at, groups, names)
                yield (number,)
            case plain:
                yield plain


def _reference(replacement: str, at: int, groups: int, names: dict[str, int]) -> tuple[int, int]:
    """The group that is meant behind a `$`, and where its name ends: as many digits as make a group that exists."""
    if named := re.compile(r"\{([A-Za-z][A-Za-z0-9]*)\}").match(replacement, at):
        if named[1] not in names:
            raise InvalidRuleError(f"the pattern has no group named {named[1]!r}")
        return names[named[1]], named.end()
    digits = re.compile(r"[0-9]*").match(replacement, at)
    assert digits is not None
    fitting = [n for n in range(1, len(digits[0]) + 1) if int(digits[0][:n]) <= groups]
    if not fitting:
        raise InvalidRuleError(f"'${digits[0]}' of the replacement is no group of the pattern; write \\$ for the sign")
    return int(digits[0][: fitting[-1]]), at + fitting[-1]
