"""Fixtures: dialogues with an admin who sees the cluster itself; listeners with real sockets, on each kind of loop."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from protocol.features import Features
from proxy.config import ListenerConfig, ListenerTls
from proxy.mechanisms.passthrough import PassthroughTokens, with_tokens
from tests.pki import Authority, Pair
from tests.unit.controlplane.test_serve import free_port
from tests.unit.proxy.admin import make, signed_in
from tests.unit.proxy.doors import HOST, LOOPS, NAMES, PATIENT, Doors, Open
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


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server", *NAMES)


@pytest.fixture
def listener(pair: Pair, authority: Authority) -> Callable[..., ListenerConfig]:
    """A listener: listener(security_protocol, **more of ListenerConfig and ListenerTls)."""

    def make(protocol: str = "SASL_SSL", min_version: str = "TLSv1.2", **more: Any) -> ListenerConfig:
        tls = ListenerTls(
            certificate=str(pair.certificate),
            key=str(pair.key),
            client_ca=str(authority.file) if protocol == "SSL" else None,
            min_version=min_version,  # type: ignore[arg-type]
        )
        return ListenerConfig(
            host="127.0.0.1",
            port=free_port(),
            min_broker_id=10_000,  # so that no port is opened but the one to bootstrap
            advertised_host=HOST,
            security_protocol=protocol,  # type: ignore[arg-type]
            tls=tls if protocol != "SASL_PLAINTEXT" else None,
            **more,
        )

    return make


@pytest.fixture(params=list(LOOPS))
def doors(request: pytest.FixtureRequest, listener: Callable[..., ListenerConfig]) -> Iterator[Open]:
    """Opens one listener, on each kind of loop: doors(limits, **what `listener` takes)."""
    with contextlib.ExitStack() as stack:
        yield lambda limits=PATIENT, **more: stack.enter_context(
            Doors(LOOPS[request.param](), limits, listener(**more))
        )
