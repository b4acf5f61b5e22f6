"""The limit of open files, and how many clients it is enough for."""

import logging
import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest

from controlplane import inputs
from controlplane.descriptors import clients_that_fit, raise_limit
from proxy.config import ClusterConfig, GatewayConfig, Limits

CONFIG = GatewayConfig(listeners=(), clusters=(ClusterConfig(bootstrap_servers=(("kafka", 9092),)),))


@pytest.fixture
def _limit_restored() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_limit_restored")
def test_the_limit_is_raised_as_far_as_may_be() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard))
    assert raise_limit() == hard
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_a_client_needs_two() -> None:
    assert clients_that_fit(20_256) == 10_000
    assert clients_that_fit(20_255) == 9_999
    assert clients_that_fit(3) == 1
    assert clients_that_fit(resource.RLIM_INFINITY) > 10**9


def test_too_few_are_told_and_no_more_clients_are_let_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inputs, "raise_limit", lambda: 1024)
    with caplog.at_level(logging.WARNING, "zonegate.serve"):
        assert inputs._fit_descriptors(CONFIG) == replace(CONFIG, limits=replace(Limits(), connections=384))
    assert caplog.messages == [
        "limits.connections is 10000, but 1024 open files are enough for 384 clients only, and no more are let in; "
        "raise the limit of open files (ulimit -n, LimitNOFILE) to 20256 or lower limits.connections"
    ]


def test_enough_are_not_worth_a_word(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(inputs, "raise_limit", lambda: 20_256)
    assert inputs._fit_descriptors(CONFIG) is CONFIG
    assert not caplog.messages
