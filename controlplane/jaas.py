"""The line that Java clients keep a login in: `…PlainLoginModule required username="u" password="p";`."""

import re

_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
_EXPECTED = f'{_MODULE} required username="…" password="…";'

_OPTION = re.compile(
    r"""\s+(?P<name>[A-Za-z_.]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s";]+))""", re.DOTALL
)


def parse_plain_login(line: str) -> tuple[str, str]:
    """User name and password of the line. A ValueError says what is expected, and never repeats the line."""
    module, _, rest = line.strip().partition(" ")
    flag, _, options = rest.strip().partition(" ")
    if module != _MODULE or flag.lower() != "required":
        raise ValueError(f"is not a login for PLAIN; write {_EXPECTED}")
    found: dict[str, str] = {}
    options = " " + options.strip()
    position = 0
    while match := _OPTION.match(options, position):
        quoted = match["quoted"]
        found[match["name"]] = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = match.end()
    if options[position:].strip() != ";":
        raise ValueError(f"must end with a semicolon after its options; write {_EXPECTED}")
    if "username" not in found or "password" not in found:
        raise ValueError(f"needs username and password; write {_EXPECTED}")
    return found["username"], found["password"]
