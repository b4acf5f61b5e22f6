"""Canaries in every field of every served API and version, both ways: what must not cross the gateway doesn't.

Requests and answers are made from the schema by the rules of `field_rules`; what is a name there is the zone's or a
stranger's, everything else is a canary. Nothing is written by API but what `scenes` has.
"""

import pytest

from protocol.schema import API_NAMES
from proxy.apis.table import OFFERED
from tests.unit.proxy.borders import BACKING, BACKING_IDS, PREFIX, ClientSide, inspect_request, nulled
from tests.unit.proxy.field_rules import RULES
from tests.unit.proxy.playbook import BrokerGot, Playbook
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
    make_answer,
    make_request,
    play,
    scenes,
    zone_cast,
)
from tests.unit.proxy.synthesis import Canaries, Cast

CASTS = {"all aliases": None, "writable aliases": ("orders", "invoices")}


def secrets(label: str) -> Canaries:
    """What no client may see, whatever the broker says."""
    canaries = Canaries(label)
    for name in (*BACKING, PREFIX, "the-cluster", "stranger"):
        canaries.forbid(name, "the cluster's own")
    for topic_id in (*BACKING_IDS, *(topic_id for _, topic_id in STRANGERS.topics)):
        canaries.forbid(topic_id, "a backing topic's id")
    return canaries


def run(playbook: Playbook, key: int, version: int, cast: Cast, overrides: Overrides, variant: Variant) -> list[str]:
    """Everything that is wrong about one exchange."""
    hidden, own = secrets("broker"), Canaries("client")
    dialogue = playbook.signed_in()
    request = make_request(key, version, cast, own, overrides)
    _, data = dialogue.request(key, version, request)
    scene = play(dialogue, data, lambda got: dialogue.response(got, make_answer(got, variant, hidden)))
    wrong = hidden.found_in(scene.client_bytes)
    for got in scene.got:
        wrong += inspect_request(got) + nulled(request, got, key) + own.found_in(got.frame)
    client = ClientSide(playbook, key, request)
    if scene.answer is not None:
        wrong += client.inspect(scene.answer)
    if variant.whole or not scene.got:
        wrong += expect_answer(scene)
    if variant is FINE and scene.got and scene.answer is not None:
        wrong += [f"the answer shows no {what}" for what in client.missing(scene.answer)]
    return wrong


def expect_answer(scene: Scene) -> list[str]:
    return [] if scene.answer is not None and not scene.ended else [f"no answer: {scene.ended}"]


@pytest.mark.parametrize(("key", "version"), FORWARDED)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_client_receives_nothing_but_what_is_its_zone_s(key: int, version: int, variant: Variant) -> None:
    with Playbook() as playbook:
        for name, aliases in CASTS.items():
            cast = zone_cast(playbook, aliases) if aliases else zone_cast(playbook)
            for overrides in scenes(key, version):
                assert not run(playbook, key, version, cast, overrides, variant), (name, overrides)
