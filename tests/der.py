"""DER, as far as tests need it to make names that libraries would not."""

from collections.abc import Sequence

UTF8, PRINTABLE, T61, IA5, GENERAL, BMP = 0x0C, 0x13, 0x14, 0x16, 0x1B, 0x1E
"""Tags of strings."""

OIDS = {
    "CN": "2.5.4.3",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "SERIALNUMBER": "2.5.4.5",
    "EMAIL": "1.2.840.113549.1.9.1",
    "UID": "0.9.2342.19200300.100.1.1",
    "DC": "0.9.2342.19200300.100.1.25",
    "UUID": "2.25.329800735698586629295641978511506172918",
}

Attribute = tuple[str, int, bytes]
"""A key of OIDS, the tag of the value, its bytes."""


def element(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 0x80:
        return bytes((tag, size)) + contents
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + contents


def object_id(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return element(0x06, b"".join(map(_base128, (40 * first + second, *rest))))


def _base128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def name(*relative_names: Sequence[Attribute]) -> bytes:
    """A distinguished name, in the order of the DER; each of its parts may have several attributes."""
    return element(
        0x30,
        b"".join(
            element(
                0x31,
                b"".join(element(0x30, object_id(OIDS[kind]) + element(tag, value)) for kind, tag, value in attributes),
            )
            for attributes in relative_names
        ),
    )
