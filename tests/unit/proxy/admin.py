"""The admin of these dialogues, and a session that it has signed in to."""

from typing import Final

from proxy.config import PassthroughConfig
from proxy.mechanisms.passthrough import PassthroughTokens
from tests.unit.proxy.playbook import Dialogue, Playbook

ADMIN: Final = "admin"
PASSWORD: Final = "a password of the admin"
SESSION_NOW: Final = 2_000_000_000
"""A session's clock is the real one; tokens of this time are good for long."""


def make(username: str = ADMIN, password: str = PASSWORD) -> PassthroughTokens:
    tokens = PassthroughTokens(PassthroughConfig(username=username, password=password))
    tokens.derive_key()
    return tokens


def signed_in(playbook: Playbook, tokens: PassthroughTokens) -> Dialogue:
    """A connection of the admin's."""
    dialogue = playbook.connects()
    dialogue.signs_in(ADMIN, tokens.issue(3600, SESSION_NOW).token)
    return dialogue
