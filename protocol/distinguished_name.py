"""The subject of a certificate as Java writes it: X500Principal.getName(), which is what Kafka's mapping rules see.

RFC 2253 leaves choices open, and these are Java's: the last attribute comes first; only the keywords of the RFC itself
are used, any other type is its OID with the value as '#' and the hexadecimal digits of its DER encoding; so is a value
that is no string. Reads DER only as far as that needs, of a certificate that the TLS handshake has verified.
"""

from collections.abc import Iterator
from typing import Final

from protocol.errors import DecodeError

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OBJECT_ID: Final = 0x06
_VERSION: Final = 0xA0

_KEYWORDS: Final = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
}
_STRINGS: Final = frozenset((0x0C, 0x13, 0x14, 0x16, 0x1B, 0x1E))
"""UTF8String, PrintableString, T61String, IA5String, GeneralString, BMPString. Java reads them all as UTF-8."""
_ESCAPED: Final = frozenset(',=+<>#;"\\')
_MAX_ARC: Final = 1 << 128
"""A number within an object id: UUIDs are the largest in use."""

_Element = tuple[int, bytes, bytes]
"""Tag, contents, and the whole element with both."""


def subject(certificate: bytes) -> str:
    """The subject's name of a DER certificate. Raises DecodeError."""
    parts = _contents(certificate, _SEQUENCE)
    fields = _contents(parts[0][2] if parts else b"", _SEQUENCE)
    # [version,] serial number, signature algorithm, issuer, validity, subject
    position = 5 if fields and fields[0][0] == _VERSION else 4
    if len(fields) <= position:
        raise DecodeError("the certificate has no subject")
    return name_text(fields[position][2])


def name_text(name: bytes) -> str:
    """A DER name as text. Raises DecodeError."""
    return ",".join(
        "+".join(_attribute(whole) for _, _, whole in _contents(relative, _SET))
        for _, _, relative in reversed(_contents(name, _SEQUENCE))
    )


def _attribute(data: bytes) -> str:
    parts = _contents(data, _SEQUENCE)
    if len(parts) != 2 or parts[0][0] != _OBJECT_ID:
        raise DecodeError("an attribute of the name is not a type with a value")
    kind = _dotted(parts[0][1])
    tag, value, whole = parts[1]
    if kind not in _KEYWORDS or tag not in _STRINGS:
        return f"{_KEYWORDS.get(kind, kind)}=#{whole.hex()}"
    return f"{_KEYWORDS[kind]}={_escape(value.decode(errors='replace'))}"


def _escape(value: str) -> str:
    text = "".join(f"\\{each}" if each in _ESCAPED else "\\00" if each == "\0" else each for each in value)
    middle = text.strip(" \r")
    if not middle:
        return "".join(f"\\{each}" for each in text)
    before, _, behind = text.partition(middle)
    return "".join(f"\\{each}" for each in before) + middle + "".join(f"\\{each}" for each in behind)


def _dotted(data: bytes) -> str:
    numbers, number = [], 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if number >= _MAX_ARC:
            raise DecodeError("an object id of the name has too large a number")
        if byte < 0x80:
            numbers.append(number)
            number = 0
    if not numbers or data[-1] >= 0x80:
        raise DecodeError("an object id of the name is not complete")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _contents(data: bytes, tag: int) -> list[_Element]:
    """The elements of a constructed one, which `data` must begin with."""
    first = next(_elements(data), None)
    if first is None or first[0] != tag:
        raise DecodeError(f"not an element of the tag {tag:#x}")
    return list(_elements(first[1]))


def _elements(data: bytes) -> Iterator[_Element]:
    position = 0
    while position < len(data):
        start, tag = position, data[position]
        size_at = position + 1
        size = int.from_bytes(data[size_at : size_at + 1], "big")
        position = size_at + 1
        if size >= 0x80:
            position += size & 0x7F
            size = int.from_bytes(data[size_at + 1 : position], "big")
        end = position + size
        if end > len(data) or data[size_at : size_at + 1] in (b"", b"\x80"):
            raise DecodeError("an element is longer than what holds it")
        yield tag, data[position:end], data[start:end]
        position = end
