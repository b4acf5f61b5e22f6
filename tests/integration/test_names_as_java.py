"""Subjects and mapping rules mean what they mean to a broker: the same questions to Java's and Kafka's own classes."""

import random
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from policies.principal_mapping import InvalidRuleError, PrincipalMapper
from protocol.distinguished_name import name_text
from tests import der
from tests.kafka.distribution import distribution

pytestmark = pytest.mark.kafka

PROGRAM = Path(__file__).with_name("Names.java")
SEED = 20261121
RANDOM_NAMES = 300
RANDOM_RULES = 4000
SECONDS = 60.0

CHARACTERS = "ab Z09,+=\"\\<>;#/'()-.:?*@_~&$€äß\r\n\t\0\x7f"
SUBJECTS = (
    "CN=aab",
    "CN=Straße",
    "CN=a\\,b,C=b",
    "",
    "aaa",
)
"""Short, since Java's regular expressions can take exponential time."""
LONG_SUBJECTS = (
    "CN=Duke,OU=ServiceUsers,O=Org,C=US",
    "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US",
    "cn=duke,ou=sme,dc=mycp,dc=com",
    "OU=JavaSoft,O=Sun Microsystems,C=US",
    "CN=Tkac\\, Adam,OU=ITZ,DC=geodis,DC=cz",
)
PIECES = (
    *("a", "b", "C", "N", "=", ",", ".", "^", "$", "|", "(", ")", "(?:", "[a-c]", "[^,]", "\\w", "\\d", "\\,", "\\\\"),
    *(
        "*",
        "+",
        "?",
        "*?",
        "+?",
        "??",
        "{2}",
        "{1,2}",
        ".*",
        "(.*?)",
        "(.*)",
        "([^,]+)",
        "(?<n>a)",
        "\\S",
        "CN=",
        "[Cc]",
    ),
)
REPLACEMENTS = ("x", "$1", "$2", "$1@$2", "$0", "$01", "$12", "$4$5", "\\$1", "a\\/b", "${n}", "$", "-$3-", "")


def ask_java(questions: Sequence[str], folder: Path) -> list[str | None]:
    """The answers of Java; None where it raises an exception."""
    file = folder / "questions"
    file.write_text("\n".join(questions) + "\n", encoding="ascii")
    command = distribution().source_command(PROGRAM, [str(file)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    assert len(answers) == len(questions)
    return [b64decode(answer[1:]).decode() if answer.startswith("=") else None for answer in answers]


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def names() -> Iterator[bytes]:
    for kind in der.OIDS:
        yield der.name([(kind, der.PRINTABLE, b"Value")])
    for tag in (der.UTF8, der.PRINTABLE, der.T61, der.IA5, der.GENERAL):
        yield der.name([("CN", tag, b"a value")], [("O", tag, b"")])
    yield der.name([("CN", der.BMP, "ä€".encode("utf-16-be"))], [("CN", der.T61, "ä".encode("latin-1"))])
    yield der.name([("CN", 0x02, b"\x05")], [("CN", 0x12, b"12 34")], [("CN", 0x04, b"octets")])
    yield der.name()
    yield der.name([("CN", der.UTF8, b"one"), ("UID", der.UTF8, b"two"), ("EMAIL", der.IA5, b"a@b.c")])
    chosen = random.Random(SEED)  # noqa: S311 - the same names every time
    for _ in range(RANDOM_NAMES):
        yield der.name(*(random_relative_name(chosen) for _ in range(chosen.randint(1, 4))))


def random_relative_name(chosen: random.Random) -> list[der.Attribute]:
    def attribute() -> der.Attribute:
        value = "".join(chosen.choices(CHARACTERS, k=chosen.randint(0, 6)))
        return chosen.choice(tuple(der.OIDS)), der.UTF8, value.encode()

    return [attribute() for _ in range(chosen.choice((1, 1, 1, 2)))]


def test_the_text_of_a_distinguished_name(tmp_path: Path) -> None:
    asked = list(names())
    answers = ask_java([f"name {b64encode(each).decode()}" for each in asked], tmp_path)
    assert None not in answers
    assert [name_text(each) for each in asked] == answers


RULES = (
    "DEFAULT",
    "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L",
    "RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, RULE:^cn=(.*?),.*$/$1/U,DEFAULT",
    "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U",
    "RULE:^CN=((\\\\, *|\\w)+)(,.*|$)/$1/,DEFAULT",
    "  RULE:   /     / ,  DEFAULT  ",
    ",,RULE://,,,DEFAULT,,",
    "RULE:,RULE:,/,RULE:,\\//U,RULE:,/RULE:,/,RULE:,RULE:,/L,RULE:,/L,RULE:, DEFAULT, /DEFAULT/,DEFAULT",
    "RULE:.*/x/",
    "RULE:a*/x/",
    "RULE:(.*)/$1/U",
    "default",
    "DEFAULT/L",
    "rule:a/b/",
    "RULE:a/b/L/U",
    "RULE:a/b",
    "RULE:a/L",
    "",
    " , ,",
)


def random_rules() -> Iterator[str]:
    chosen = random.Random(SEED)  # noqa: S311 - the same rules every time
    for _ in range(RANDOM_RULES):
        pattern = "".join(chosen.choices(PIECES, k=chosen.randint(1, 5)))
        yield f"RULE:{pattern}/{chosen.choice(REPLACEMENTS)}/{chosen.choice(('', 'L', 'U'))}"


def answer(rules: str, subject: str) -> str | None:
    """As Java's: None where no rule matches, too."""
    return PrincipalMapper(rules).name_of(subject)


def test_what_a_rule_makes_of_a_subject(tmp_path: Path) -> None:
    """Whatever is taken here means what it means to Kafka; what is known to be right is taken."""
    cases = [(rules, subject) for rules in RULES for subject in (*SUBJECTS, *LONG_SUBJECTS)]
    cases += [(rules, subject) for rules in random_rules() for subject in SUBJECTS]
    answers = ask_java([f"map {b64(rules)} {b64(subject)}" for rules, subject in cases], tmp_path)
    wrong, compared, mapped = [], 0, 0
    for (rules, subject), theirs in zip(cases, answers, strict=True):
        try:
            ours = answer(rules, subject)
        except InvalidRuleError:
            ours = None
            if rules not in RULES:
                continue
        compared += 1
        mapped += ours is not None
        if ours != theirs:
            wrong.append((rules, subject, ours, theirs))
    assert not wrong, f"(rules, subject, ours, Kafka's): {wrong[:10]} and {len(wrong)} in all"
    assert compared > len(cases) // 4, "too many of the rules are refused for this to tell anything"
    assert mapped > 1000, "too few of the rules match for this to tell anything"
