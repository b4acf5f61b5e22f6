"""Fixtures of dialogues with an admin who sees the cluster itself."""

from collections.abc import Iterator
from typing import Final

import pytest

from protocol.features import Features
from proxy.mechanisms.passthrough import PassthroughTokens, with_tokens
from tests.unit.proxy.admin import make, signed_in
from tests.unit.proxy.playbook import Dialogue, Playbook

FEATURES: Final = Features(
    {"transaction.version": (0, 2), "share.version": (0, 1), "metadata.version": (7, 27)},
    {"transaction.version": 2, "share.version": 1, "metadata.version": 27},
    epoch=9,
)


@pytest.fixture(scope="session")
def tokens() -> PassthroughTokens:
    return make()


@pytest.fixture
def playbook(tokens: PassthroughTokens) -> Iterator[Playbook]:
    """A gateway that has the admin configured."""
    with Playbook(features=FEATURES, budget=1 << 26) as playbook:
        playbook.services.mechanisms = with_tokens(playbook.services.mechanisms, tokens)
        yield playbook


@pytest.fixture
def admin(playbook: Playbook, tokens: PassthroughTokens) -> Dialogue:
    return signed_in(playbook, tokens)
