"""Kafka's mapping rules. test_names_as_java asks Kafka's own class whether they mean the same."""

import time

import pytest

from policies.principal_mapping import MAX_SUBJECT, InvalidRuleError, PrincipalMapper

KAFKAS_EXAMPLE = (
    "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/L, RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, "
    "RULE:^cn=(.*?),ou=(.*?),dc=(.*?),dc=(.*?)$/$1@$2/U, RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U, DEFAULT"
)


@pytest.mark.parametrize(
    ("rules", "subject", "name"),
    [
        ("DEFAULT", "CN=a,O=b", "CN=a,O=b"),
        (KAFKAS_EXAMPLE, "CN=Duke,OU=ServiceUsers,O=Org,C=US", "duke"),
        (KAFKAS_EXAMPLE, "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US", "duke@sme"),
        (KAFKAS_EXAMPLE, "cn=duke,ou=sme,dc=mycp,dc=com", "DUKE@SME"),
        (KAFKAS_EXAMPLE, "cN=duke,OU=JavaSoft,O=Sun Microsystems", "DUKE"),
        (KAFKAS_EXAMPLE, "OU=JavaSoft,O=Sun Microsystems,C=US", "OU=JavaSoft,O=Sun Microsystems,C=US"),
        ("RULE:^CN=(.*),O=x$/$1/", "CN=a,O=y", None),
        ("RULE:CN=(.*)/$1/", "OU=x,CN=a", None),  # not the whole subject
        ("RULE:^CN=((\\\\, *|\\w)+)(,.*|$)/$1/,DEFAULT", "CN=Tkac\\, Adam,OU=ITZ", "Tkac\\, Adam"),
        ("RULE:CN=(?<who>.*)/${who}-$0-$3-\\$1/", "CN=a", "a-CN=a-$3-$1"),
        ("RULE:CN=(.*)/$12/", "CN=a", "a2"),
        ("RULE:.*/x/", "CN=a", "xx"),  # Java's replaceAll finds the empty end as well
        ("RULE:CN=a\\/b/c\\/d/U", "CN=a/b", "C/D"),
        (" , RULE:x/y/ ,,", "x", "y"),
        ("", "CN=a", None),
    ],
)
def test_a_subject_becomes_a_name(rules: str, subject: str, name: str | None) -> None:
    assert PrincipalMapper(rules).name_of(subject) == name


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\x0b", "\x85", "\u2028", "\x7f"])
def test_a_subject_with_control_characters_is_nobodys(character: str) -> None:
    mapper = PrincipalMapper("RULE:^CN=(\\w+).*$/$1/,DEFAULT")
    assert mapper.name_of("CN=a-") == "a"
    assert mapper.name_of(f"CN=a{character}") is None


@pytest.mark.parametrize(
    "rule",
    [
        "default",
        "DEFAULT/L",
        "rule:a/b/",
        "RULE:a/b",
        "RULE:a/L",
        "RULE:a/b/L/U",
        "RULE:a/b/X",
        "RULE:(?=a)a/b/",
        "RULE:(?i)a/b/",
        "RULE:(?P<n>a)/b/",
        "RULE:(?<n>a)(?<n>b)/b/",
        "RULE:(a)\\1/b/",
        "RULE:(a)\\12/b/",
        "RULE:a++/b/",
        "RULE:[a-z&&[^b]]/b/",
        "RULE:[a[b]]/b/",
        "RULE:[[:alpha:]]/b/",
        "RULE:\\bab/b/",
        "RULE:\\Qa\\E/b/",
        "RULE:\\u0041/b/",
        "RULE:a{,3}/b/",
        "RULE:(a*)*/b/",
        "RULE:(a/b/",
        "RULE:a)/b/",
        "RULE:a{1001}/b/",
        "RULE:a/$/",
        "RULE:a/$1/",
        "RULE:(a)/$1$/",
        "RULE:(a)/${n}/",
        "RULE:(a)/$4@$5/",
    ],
)
def test_a_rule_that_can_t_be_kept_is_refused_and_quoted(rule: str) -> None:
    with pytest.raises(InvalidRuleError) as caught:
        PrincipalMapper(f"DEFAULT,{rule}")
    assert repr(rule) in str(caught.value)


def test_no_subject_takes_long() -> None:
    """(a|a)*b and the like are exponential with regular expressions that step back."""
    mapper = PrincipalMapper("RULE:^(a|a)*(a|aa)+(.*a){8}b$/x/,RULE:^(\\w+\\s?)*$/$1/")
    started = time.process_time()
    assert mapper.name_of("a" * (MAX_SUBJECT - 1) + "!") is None
    assert mapper.name_of("a" * (MAX_SUBJECT + 1)) is None
    assert time.process_time() - started < 0.5
