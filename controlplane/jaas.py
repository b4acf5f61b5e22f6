"""The line that Java clients keep a login in: `…PlainLoginModule required username="u" password="p";`."""

import re
from dataclasses import dataclass, field
from typing import Final

_PLAIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
_EXPECTED: Final = f'write {_PLAIN} (or {_SCRAM}) required username="…" password="…";'

_OPTION = re.compile(
    r"""\s+(?P<name>[A-Za-z_.]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s";]+))""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str = field(repr=False)
    scram: bool = False
    """Whether the line is of SCRAM's login module; else it is of PLAIN's."""


def parse_login(line: str) -> Login:
    """The line's user name and password. A ValueError says what is expected, and never repeats the line."""
    module, _, rest = line.strip().partition(" ")
    flag, _, options = rest.strip().partition(" ")
    if module not in (_PLAIN, _SCRAM) or flag.lower() != "required":
        raise ValueError(f"is not a login for PLAIN or SCRAM; {_EXPECTED}")
    found: dict[str, str] = {}
    options = " " + options.strip()
    position = 0
    while match := _OPTION.match(options, position):
        quoted = match["quoted"]
        found[match["name"]] = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = match.end()
    if options[position:].strip() != ";":
        raise ValueError(f"must end with a semicolon after its options; {_EXPECTED}")
    if "username" not in found or "password" not in found:
        raise ValueError(f"needs username and password; {_EXPECTED}")
    return Login(found["username"], found["password"], module == _SCRAM)
