"""What a partner gets with new credentials, read as each language reads it."""

import ast
import re
import shlex
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.client_properties import client_properties
from controlplane.client_snippets import Snippet, client_snippets
from controlplane.jaas import parse_login
from controlplane.zone_service import ClientAccess
from tests.unit.controlplane.test_client_properties import read, value_in_java

ACCESS = ClientAccess("gw.example.com:9094", "SASL_PLAINTEXT", "PLAIN", "johndoe")
SCRAM = ClientAccess("[fd00::1]:9194", "SASL_SSL", "SCRAM-SHA-512", "johndoe")
BEARER = ClientAccess("gw.example.com:9194", "SASL_SSL", "OAUTHBEARER", "johndoe")
MUTUAL = ClientAccess("gw.example.com:9294", "SSL", None, "johndoe")

PASSWORD = "secret"
ODD = "o'dd \"one\\; $HOME %s {x} \\u0041 é€😀"
PRINTABLE = st.text(min_size=1).filter(lambda text: text.isprintable() and text == text.strip())


def snippets(access: ClientAccess, password: str = PASSWORD, alias: str = "topic-a") -> dict[str, Snippet]:
    return {each.name: each for each in client_snippets(access, password, alias)}


def python_config(text: str) -> dict[str, str]:
    (config,) = [
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "config"
    ]
    found: dict[str, str] = ast.literal_eval(config)
    return found


def librdkafka_config(text: str) -> dict[str, str]:
    """As kcat reads it."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return {name: value for name, _, value in (line.strip().partition("=") for line in lines)}


def java_config(text: str) -> dict[str, str]:
    """Of a source, whose literals have the escapes of a properties file."""
    literal = r'"((?:[^"\\]|\\.)*)"'
    pairs = re.findall(rf"^ +settings\.put\({literal}, {literal}\);$", text, re.MULTILINE)
    return {value_in_java(name): value_in_java(value) for name, value in pairs}


def librdkafka_names(access: ClientAccess, password: str) -> Mapping[str, str]:
    return {
        "bootstrap.servers": access.bootstrap,
        "security.protocol": access.security_protocol,
        "sasl.mechanisms": access.mechanism or "",
        "sasl.username": access.account,
        "sasl.password": password,
    }


@given(PRINTABLE, PRINTABLE, PRINTABLE)
def test_each_language_reads_what_is_meant(account: str, password: str, alias: str) -> None:
    access = ClientAccess("gw.example.com:9094", "SASL_SSL", "SCRAM-SHA-512", account)
    wanted = librdkafka_names(access, password)
    found = snippets(access, password, alias)
    assert librdkafka_config(found["librdkafka"].text) == wanted
    in_python = python_config(found["Python"].text)
    assert {name: in_python[name] for name in wanted} == wanted
    assert in_python.keys() - wanted.keys() == {"group.id", "auto.offset.reset"}
    assert f"consumer.subscribe([{alias!r}])" in ast.unparse(ast.parse(found["Python"].text))
    properties = read(found["config.properties"].text)
    assert java_config(found["Java"].text) == properties
    assert found["Java"].text.isascii()
    login = parse_login(properties["sasl.jaas.config"])
    assert (login.username, login.password, login.scram) == (account, password, True)


def test_the_properties_are_those_of_the_zone_with_the_password() -> None:
    text = snippets(ACCESS)["config.properties"].text
    assert text == client_properties(ACCESS).replace("*" * 15, "secret")


@pytest.mark.parametrize("access", [ACCESS, SCRAM, BEARER, MUTUAL])
def test_python_and_braces_are_whole(access: ClientAccess) -> None:
    odd = ClientAccess(access.bootstrap, access.security_protocol, access.mechanism, ODD)
    found = snippets(odd, ODD, "topic-a")
    compile(found["Python"].text, "consume.py", "exec")
    assert found["Java"].text.count("{") - found["Java"].text.count("}") == 0
    assert all(each.text.endswith("\n") and not each.text.endswith("\n\n") for each in found.values())


def test_the_command_line() -> None:
    assert snippets(ACCESS)["kafka-topics"].text == (
        "kafka-topics --bootstrap-server gw.example.com:9094 --command-config config.properties --list\n"
    )
    assert shlex.split(snippets(SCRAM)["kafka-topics"].text)[2] == "[fd00::1]:9194"
    assert "'[fd00::1]:9194'" in snippets(SCRAM)["kafka-topics"].text, "brackets are the shell's"
    assert snippets(ACCESS)["librdkafka"].text.startswith("# kcat -F librdkafka.config -L\n")


@pytest.mark.parametrize("access", [SCRAM, BEARER, MUTUAL])
def test_with_tls_it_is_said_where_the_authority_goes(access: ClientAccess) -> None:
    found = snippets(access)
    for name, comment in (("config.properties", "#"), ("Java", "//")):
        assert re.search(f"^ *{comment} .*ssl.truststore.location=ca.pem$", found[name].text, re.MULTILINE)
    for name in ("librdkafka", "Python"):
        assert re.search("^ *# .*ssl.ca.location=ca.pem$", found[name].text, re.MULTILINE)
    assert not any("ca.pem" in each.text for each in snippets(ACCESS).values())


def test_certificates_and_tokens_are_left_to_fill_in() -> None:
    mutual, bearer = snippets(MUTUAL), snippets(BEARER)
    for each in (*mutual.values(), *bearer.values()):
        assert "secret" not in each.text.replace("client.secret", ""), "they have no passwords"
    assert librdkafka_config(mutual["librdkafka"].text) == {
        "bootstrap.servers": "gw.example.com:9294",
        "security.protocol": "SSL",
        "ssl.certificate.location": "client.pem",
        "ssl.key.location": "client.pem",
    }
    assert java_config(mutual["Java"].text)["ssl.keystore.location"] == "client.pem"
    assert python_config(bearer["Python"].text)["sasl.oauthbearer.method"] == "oidc"
    assert librdkafka_config(bearer["librdkafka"].text)["sasl.oauthbearer.token.endpoint.url"] == ""


def test_no_password_is_shown_by_accident() -> None:
    assert "secret" not in repr(client_snippets(ACCESS, "secret", "topic-a"))
