"""Features of the cluster that clients are told of, before and after they have signed in."""

import pytest

from protocol.api_versions import BrokerVersions
from protocol.features import Features, features_of
from tests.unit.proxy.playbook import BROKER_VERSIONS, Dialogue, Playbook

API_VERSIONS, END = 18, 26

FEATURES = Features(
    {"transaction.version": (0, 2), "group.version": (0, 1), "metadata.version": (1, 29)},
    {"transaction.version": 2, "group.version": 1, "metadata.version": 29},
    12,
)
WITHOUT_END_5 = {**BROKER_VERSIONS, END: (0, 4)}


def features_told(dialogue: Dialogue, version: int = 4) -> Features:
    dialogue.client_sends(API_VERSIONS, version, client_software_name="a", client_software_version="1")
    return features_of(dialogue.client_receives())


@pytest.mark.parametrize("broker_id", [None, 1])
def test_before_a_client_has_signed_in_it_is_told_what_is_known_of_the_brokers(broker_id: int | None) -> None:
    with Playbook(features=FEATURES) as playbook:
        cluster = playbook.services.clusters.first
        older = Features(FEATURES.supported, {"transaction.version": 1}, 11)
        cluster.versions[2] = BrokerVersions(dict(BROKER_VERSIONS), older)
        told = features_told(playbook.connects(broker_id))
        expected = (2, 12) if broker_id == 1 else (1, 11)
        assert (told.finalized.get("transaction.version"), told.epoch) == expected
        assert "metadata.version" not in {*told.supported, *told.finalized}


def test_a_client_that_has_signed_in_is_told_of_the_very_broker_behind_it() -> None:
    with Playbook(features=FEATURES) as playbook:
        dialogue = playbook.signed_in(None)
        playbook.services.clusters.first.versions.clear()
        told = features_told(dialogue)
        assert (told.finalized["transaction.version"], told.epoch) == (2, 12)
        assert told.supported["transaction.version"] == (0, 2)
        assert features_told(dialogue, 3).supported == {}
        assert features_told(dialogue, 3).finalized == told.finalized


def test_a_broker_without_the_apis_of_a_feature() -> None:
    with Playbook(broker_versions=WITHOUT_END_5, features=FEATURES) as playbook:
        told = features_told(playbook.signed_in())
        assert told.finalized["transaction.version"] == 1
        assert told.supported["transaction.version"] == (0, 1)
