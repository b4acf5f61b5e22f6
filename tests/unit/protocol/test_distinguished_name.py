"""A certificate's subject as Java's X500Principal.getName() gives it; test_names_as_java asks Java itself."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from protocol.distinguished_name import name_text, subject
from protocol.errors import DecodeError
from tests import der


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (der.name(), ""),
        (
            der.name([("C", der.PRINTABLE, b"DE")], [("O", der.UTF8, b"Org")], [("CN", der.UTF8, b"duke")]),
            "CN=duke,O=Org,C=DE",
        ),
        (der.name([("CN", der.UTF8, b"a"), ("UID", der.UTF8, b"b")]), "CN=a+UID=b"),
        (der.name([("EMAIL", der.IA5, b"a@b")]), "1.2.840.113549.1.9.1=#1603614062"),
        (der.name([("CN", 0x02, b"\x05")]), "CN=#020105"),
        (der.name([("UUID", der.UTF8, b"a")]), "2.25.329800735698586629295641978511506172918=#0c0161"),
        (der.name([("CN", der.UTF8, b' #a,b+c"d\\e<f>g;h=i ')]), 'CN=\\ \\#a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h\\=i\\ '),
        (der.name([("CN", der.UTF8, b"  ")]), "CN=\\ \\ "),
        (der.name([("CN", der.UTF8, b"a\0b\n")]), "CN=a\\00b\n"),
        (der.name([("CN", der.UTF8, "Zoë €".encode())]), "CN=Zoë €"),
        (der.name([("CN", der.UTF8, b"x" * 300)]), "CN=" + "x" * 300),
    ],
)
def test_a_name(name: bytes, text: str) -> None:
    assert name_text(name) == text


def test_the_subject_of_a_certificate() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the authority")])
    name = x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.COMMON_NAME, "john, doe")]
    )
    certificate = (
        x509.CertificateBuilder(issuer, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    assert subject(certificate) == "CN=john\\, doe,C=DE"
    for size in range(len(certificate)):
        with pytest.raises(DecodeError):
            subject(certificate[:size])


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"\x30",
        b"\x30\x05\x31",
        b"\x30\x80",
        b"\x30\xff",
        b"\x31\x00",
        der.element(0x30, b"\x30\x00"),
        der.element(0x30, der.element(0x31, b"\x30\x00")),
        der.element(0x30, der.element(0x31, der.element(0x30, der.element(0x06, b"") + der.element(der.UTF8, b"a")))),
        der.element(
            0x30, der.element(0x31, der.element(0x30, der.element(0x06, b"\x55\x84") + der.element(der.UTF8, b"a")))
        ),
        der.element(
            0x30,
            der.element(
                0x31, der.element(0x30, der.element(0x06, b"\xff" * 5000 + b"\0") + der.element(der.UTF8, b"a"))
            ),
        ),
    ],
)
def test_what_is_no_name(name: bytes) -> None:
    with pytest.raises(DecodeError):
        name_text(name)
