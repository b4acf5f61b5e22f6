"""Fixtures of tests with real sockets: a listener with its certificate, on each kind of loop."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.config import ListenerConfig, ListenerTls
from tests.pki import Authority, Pair
from tests.unit.controlplane.test_serve import free_port
from tests.unit.proxy.doors import HOST, LOOPS, NAMES, PATIENT, Doors, Open


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
