"""Canaries in every field of every served API and version, both ways: what must not cross the gateway doesn't.

Requests and answers are made from the schema by the rules of `field_rules`; what is a name there is the zone's or a
stranger's, everything else is a canary. Nothing is written by API but what `scenes` has.
"""

from collections.abc import Callable, Iterator

import pytest

from protocol.schema import Struct, request_struct
from tests.unit.proxy.borders import ALIASES, BACKING, BACKING_IDS, PREFIX, ClientSide, inspect_request, newly_null
from tests.unit.proxy.playbook import Playbook
from tests.unit.proxy.scenes import (
    FINE,
    FORWARDED,
    INTRUDERS,
    LOCAL,
    STRANGERS,
    VARIANTS,
    Overrides,
    Scene,
    Variant,
    emptied,
    make_answer,
    make_request,
    nulled,
    play,
    scenes,
    zone_cast,
)
from tests.unit.proxy.synthesis import Canaries, Cast

CASTS = {"all aliases": ALIASES, "writable aliases": ("orders", "invoices")}
ESCAPING = (11, 14)
"""JoinGroup and SyncGroup: names that are not aliases reach the broker as ones that no topic can have."""

Lacking = Callable[[Struct], Iterator[Overrides]]


def secrets(label: str) -> Canaries:
    """What no client may see, whatever the broker says."""
    canaries = Canaries(label)
    for name in (*BACKING, PREFIX, "the-cluster", "stranger"):
        canaries.forbid(name, "the cluster's own")
    for topic_id in (*BACKING_IDS, *(topic_id for _, topic_id in STRANGERS.topics)):
        canaries.forbid(topic_id, "a backing topic's id")
    return canaries


def run(
    playbook: Playbook,
    key: int,
    version: int,
    cast: Cast,
    overrides: Overrides,
    variant: Variant = FINE,
    *,
    shows_all: bool = True,
) -> tuple[Scene, list[str]]:
    """One exchange, and everything that is wrong about it."""
    hidden, own = secrets("broker"), Canaries("client")
    dialogue = playbook.signed_in()
    request = make_request(key, version, cast, own, overrides)
    if key not in ESCAPING:
        own.forbid("intruder-topic", "a topic that is not an alias")
    _, data = dialogue.request(key, version, request)
    scene = play(dialogue, data, lambda got: dialogue.response(got, make_answer(got, variant, hidden, key)))
    wrong = hidden.found_in(scene.client_bytes, said_before=data)
    for got in scene.got:
        wrong += inspect_request(got) + newly_null(request, got, key) + own.found_in(got.frame)
    client = ClientSide(playbook, key, request)
    if scene.answer is not None:
        wrong += client.inspect(scene.answer)
    if variant.whole or not scene.got:
        wrong += expect_answer(scene)
    if shows_all and variant is FINE and scene.got and scene.answer is not None:
        wrong += [f"the answer shows no {what}" for what in client.missing(scene.answer)]
    return scene, wrong


def expect_answer(scene: Scene) -> list[str]:
    return [] if scene.answer is not None and not scene.ended else [f"no answer: {scene.ended}"]


@pytest.mark.parametrize(("key", "version"), FORWARDED)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_client_receives_nothing_but_what_is_its_zone_s(key: int, version: int, variant: Variant) -> None:
    with Playbook() as playbook:
        for name, aliases in CASTS.items():
            cast = zone_cast(playbook, aliases)
            for overrides in scenes(key, version):
                _, wrong = run(playbook, key, version, cast, overrides, variant)
                assert not wrong, f"{name}, {overrides}: " + "\n".join(wrong)


@pytest.mark.parametrize(("key", "version"), FORWARDED)
def test_what_the_zone_may_do_reaches_the_broker(key: int, version: int) -> None:
    """Or else the tests above would look at refusals only."""
    with Playbook() as playbook:
        cast = zone_cast(playbook, ("invoices",))
        for overrides in scenes(key, version):
            scene, _ = run(playbook, key, version, cast, overrides, FINE)
            assert scene.got, f"{overrides} is answered here: {scene.answer}"


@pytest.mark.parametrize(("key", "version"), FORWARDED)
@pytest.mark.parametrize("company", ["alone", "among the zone's own"])
def test_a_broker_gets_nothing_but_what_is_the_zone_s(key: int, version: int, company: str) -> None:
    with Playbook() as playbook:
        cast = INTRUDERS if company == "alone" else zone_cast(playbook) + INTRUDERS
        for overrides in scenes(key, version):
            scene, wrong = run(playbook, key, version, cast, overrides, shows_all=False)
            selects = "topics" in overrides or overrides.get("subscribed_topic_regex")
            if company == "alone" and not selects and key not in ESCAPING:
                wrong += [
                    f"the broker got {name}" for got in scene.got for name in BACKING if name.encode() in got.frame
                ]
            assert not wrong, f"{overrides}: " + "\n".join(wrong)


@pytest.mark.parametrize(("key", "version"), FORWARDED)
@pytest.mark.parametrize("lacking", [emptied, nulled])
def test_lists_that_are_empty_or_null(key: int, version: int, lacking: Lacking) -> None:
    """Each list of a request in turn, then all of them: to a broker null means everything, and so may an empty one."""
    with Playbook() as playbook:
        for overrides in scenes(key, version):
            for changes in lacking(request_struct(key, version)):
                _, wrong = run(playbook, key, version, zone_cast(playbook), {**overrides, **changes}, shows_all=False)
                assert not wrong, f"{overrides}, {changes}: " + "\n".join(wrong)


@pytest.mark.parametrize(("key", "version"), LOCAL)
def test_what_is_answered_here_reaches_no_broker(key: int, version: int) -> None:
    with Playbook() as playbook:
        for cast in (zone_cast(playbook), INTRUDERS, zone_cast(playbook) + INTRUDERS):
            for changes in ({}, *emptied(request_struct(key, version)), *nulled(request_struct(key, version))):
                scene, wrong = run(playbook, key, version, cast, changes)
                assert not scene.got
                assert not wrong, f"{changes}: " + "\n".join(wrong)
