"""What a partner gets with new credentials: texts that reach the zone as they are, for the usual kinds of clients.

Each is complete and quoted as its language wants it. What zonegate can't know (where a certificate lies, where tokens
are issued) is left to fill in, with a comment.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from controlplane.client_properties import (
    CERTIFICATE,
    TOKENS,
    Setting,
    client_properties,
    java_escaped,
    java_settings,
)
from controlplane.zone_service import ClientAccess

CONFIG_PROPERTIES: Final = "config.properties"
LIBRDKAFKA_CONFIG: Final = "librdkafka.config"

_JAVA_CA: Final = (
    "If the gateway's certificate is of a CA of its own: ssl.truststore.type=PEM, ssl.truststore.location=ca.pem"
)
_CA: Final = "If the gateway's certificate is of a CA of its own: ssl.ca.location=ca.pem"

_JAVA: Final = """\
// With org.apache.kafka:kafka-clients on the class path.
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;

public class ListTopics {{
    public static void main(String[] args) throws Exception {{
        Properties settings = new Properties();
{settings}
        try (Admin admin = Admin.create(settings)) {{
            admin.listTopics().names().get().forEach(System.out::println);
        }}
    }}
}}
"""

_PYTHON: Final = """\
# pip install confluent-kafka
from confluent_kafka import Consumer

config = {{
{settings}
    "group.id": "first-steps",
    "auto.offset.reset": "earliest",
}}
consumer = Consumer(config)
for topic in sorted(consumer.list_topics(timeout=10).topics):
    print(topic)

consumer.subscribe([{alias}])
for message in consumer.consume(num_messages=10, timeout=10):
    print(message.error() or message.value())
consumer.close()
"""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy, or to save as a file."""

    name: str
    language: str
    """properties, java, ini, python or shell."""
    file_name: str
    text: str = field(repr=False)
    """Holds the password."""


def client_snippets(access: ClientAccess, password: str, alias: str) -> Sequence[Snippet]:
    """`alias` is one that the zone's clients may read. Zones without passwords have no use for the one given."""
    return [
        Snippet(CONFIG_PROPERTIES, "properties", CONFIG_PROPERTIES, _properties(access, password)),
        Snippet("Java", "java", "ListTopics.java", _java(access, password)),
        Snippet("librdkafka", "ini", LIBRDKAFKA_CONFIG, _librdkafka(access, password)),
        Snippet("Python", "python", "consume.py", _python(access, password, alias)),
        Snippet("kafka-topics", "shell", "list-topics.sh", _kafka_topics(access)),
    ]


def _uses_tls(access: ClientAccess) -> bool:
    return access.security_protocol in ("SSL", "SASL_SSL")


def _properties(access: ClientAccess, password: str) -> str:
    return client_properties(access, password) + (f"# {_JAVA_CA}\n" if _uses_tls(access) else "")


def _java(access: ClientAccess, password: str) -> str:
    lines = [
        f"// {each}"
        if isinstance(each, str)
        else f"settings.put({_java_literal(each.name)}, {_java_literal(each.value)});"
        for each in java_settings(access, password)
    ]
    if _uses_tls(access):
        lines.append(f"// {_JAVA_CA}")
    return _JAVA.format(settings="\n".join(" " * 8 + line for line in lines))


def _java_literal(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{java_escaped(plain)}"'


def _librdkafka_settings(access: ClientAccess, password: str) -> Iterator[Setting | str]:
    yield Setting("bootstrap.servers", access.bootstrap)
    yield Setting("security.protocol", access.security_protocol)
    if access.mechanism is None:
        yield CERTIFICATE
        yield Setting("ssl.certificate.location", "client.pem")
        yield Setting("ssl.key.location", "client.pem")
    else:
        yield Setting("sasl.mechanisms", access.mechanism)
        yield from _sasl_settings(access, password)
    if _uses_tls(access):
        yield _CA


def _sasl_settings(access: ClientAccess, password: str) -> Iterator[Setting | str]:
    if access.mechanism == "OAUTHBEARER":
        yield TOKENS
        yield Setting("sasl.oauthbearer.method", "oidc")
        yield Setting("sasl.oauthbearer.token.endpoint.url", "")
        yield Setting("sasl.oauthbearer.client.id", "")
        yield Setting("sasl.oauthbearer.client.secret", "")
    else:
        yield Setting("sasl.username", access.account)
        yield Setting("sasl.password", password)


def _librdkafka(access: ClientAccess, password: str) -> str:
    """A value is whatever stands behind the first `=`: nothing is quoted."""
    lines = [
        f"# {each}" if isinstance(each, str) else f"{each.name}={each.value}"
        for each in _librdkafka_settings(access, password)
    ]
    return "\n".join((f"# kcat -F {LIBRDKAFKA_CONFIG} -L", *lines)) + "\n"


def _python(access: ClientAccess, password: str, alias: str) -> str:
    lines = [
        f"    # {each}" if isinstance(each, str) else f"    {_literal(each.name)}: {_literal(each.value)},"
        for each in _librdkafka_settings(access, password)
    ]
    return _PYTHON.format(settings="\n".join(lines), alias=_literal(alias))


def _literal(text: str) -> str:
    """JSON's strings are Python's, while what isn't ASCII stays as it is."""
    return json.dumps(text, ensure_ascii=False)


def _kafka_topics(access: ClientAccess) -> str:
    server = shlex.quote(access.bootstrap)
    return f"kafka-topics --bootstrap-server {server} --command-config {CONFIG_PROPERTIES} --list\n"
