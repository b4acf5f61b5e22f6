"""The gateway under attack: the real command with limits of its own, a zone that behaves and one that doesn't."""

import os
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from prometheus_client.parser import text_string_to_metric_families

from controlplane.descriptors import clients_that_fit, raise_limit
from tests.canary import Canaries
from tests.integration.gateway import Gateway, manifest
from tests.integration.world import GATEWAY_HOST, MARKER, Account, contiguous_ports
from tests.kafka import Cluster
from tests.kafka.waiting import wait_until

CALM_SECONDS = 15.0
MIB = 1 << 20

STEADY_TOPIC, OWN_TOPIC = "steady-topic", "mallory-topic"


class Fort:
    """One gateway. `steady` is the zone of the well-behaved client, `mallory` that of the attackers."""

    def __init__(self, kafka: Cluster, canaries: Canaries, limits: Mapping[str, object]) -> None:
        self.kafka = kafka
        self.canaries = canaries
        self._limits = limits
        span = max(kafka.broker_ids) - min(kafka.broker_ids) + 1
        ports = contiguous_ports(1 + span + 1)
        self.backing: dict[str, str] = {}
        """Alias -> backing topic."""
        self.gateway = Gateway(kafka.bootstrap, kafka.broker_ids, GATEWAY_HOST, GATEWAY_HOST, ports)
        self.steady = self._zone("steady-zone", "steady", STEADY_TOPIC)
        self.mallory = self._zone("mallory-zone", "mallory", OWN_TOPIC)
        self._calm: tuple[float, ...] = ()

    def _zone(self, zone: str, user: str, alias: str) -> Account:
        backing = f"{MARKER}{alias}-{uuid.uuid4().hex[:8]}"
        # records of any time stay
        self.kafka.create_topic(backing, 2, 1, {"retention.ms": "-1"})
        self.gateway.write_zone(manifest(zone, user, [(alias, backing, "WRITE")]))
        self.backing[alias] = backing
        self.canaries.add(backing, "a backing topic's name")
        self.canaries.add(alias, f"an alias of {zone}", user)
        return Account(self.gateway.bootstrap, zone, user, self.gateway.new_password(zone))

    def start(self) -> None:
        environment = {f"ZONEGATE_LIMITS_{name.upper()}": str(value) for name, value in self._limits.items()}
        with patch.dict(os.environ, environment):
            self.gateway.start()

    # what it costs

    @property
    def memory(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    @contextmanager
    def memory_grows_less_than(self, bound: int) -> Iterator[None]:
        """At its highest, against what it was before."""
        before = self.memory
        Path(f"/proc/{self.gateway.pid}/clear_refs").write_text("5")
        yield
        grown = self._status("VmHWM") - before
        assert grown < bound, f"the gateway took {grown / MIB:.1f} MiB more, allowed are {bound / MIB:.1f}"

    def clients_that_fit(self) -> int:
        """How many connections this process and the gateway can have open."""
        return min(raise_limit(), clients_that_fit(int(self.gateway.metric("process_max_fds"))))

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.gateway.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")

    # what it says

    def ends(self) -> Counter[str]:
        """Reason -> how many connections have ended so."""
        families = text_string_to_metric_families(self.gateway.metrics_text())
        samples = (sample for family in families for sample in family.samples)
        name = "zonegate_connections_closed_total"
        return Counter({each.labels["reason"]: int(each.value) for each in samples if each.name == name})

    @contextmanager
    def closes(self, reason: str, count: int) -> Iterator[None]:
        """So many connections end for this reason, and none for another."""
        before = self.ends()
        yield
        with suppress(TimeoutError):
            wait_until(lambda: (self.ends() - before).total() >= count, "", CALM_SECONDS)
        ended = self.ends() - before
        assert ended == {reason: count}, f"{dict(ended)}; the last of them: {self.gateway.log()[-1]}"

    # what is left behind

    def _left(self) -> tuple[float, ...]:
        names = ("process_open_fds", "zonegate_tasks", "zonegate_connections")
        return tuple(self.gateway.metric(name) for name in names)

    def wait_alone(self) -> None:
        """Nobody is connected: so it must be again after the attack."""
        wait_until(lambda: self.gateway.metric("zonegate_connections") == 0, "nobody connected", CALM_SECONDS)
        self._calm = self._left()

    def wait_calm(self) -> None:
        """Descriptors, tasks and connections are as before."""
        seen: list[tuple[float, ...]] = []

        def is_calm() -> bool:
            seen.append(self._left())
            return all(now <= before for now, before in zip(seen[-1], self._calm, strict=True))

        try:
            wait_until(is_calm, "", CALM_SECONDS)
        except TimeoutError:
            raise AssertionError(
                f"descriptors, tasks, connections: {seen[-1]}, before the attack {self._calm}"
            ) from None
