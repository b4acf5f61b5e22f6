"""One process's way to the state topic: it reads, writes, and knows which gateways live."""

import importlib.metadata
import secrets
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime

from controlplane.state.follower import Follower
from controlplane.state.liveness import Liveness
from controlplane.state.log import StateLog
from controlplane.state.topic import StateTopic
from controlplane.state.writer import StateWriter
from controlplane.times import format_time


@dataclass(frozen=True, slots=True)
class Identity:
    """What a gateway's process calls itself. Another start is another gateway, so that no two speak for one."""

    gateway: str
    worker: int | None = None
    host: str = field(default_factory=socket.gethostname)
    version: str = field(default_factory=lambda: importlib.metadata.version("zonegate"))
    started: str = field(default_factory=lambda: format_time(datetime.now(UTC)))


def new_gateway_id() -> str:
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


class StateClient:
    def __init__(self, topic: StateTopic) -> None:
        self.follower = Follower(topic)
        self.writer = StateWriter(self.follower)
        self.liveness = Liveness(self.follower.log)
        self.follower.on_gateway = self.liveness.saw

    @property
    def log(self) -> StateLog:
        return self.follower.log

    def why_not_loaded(self) -> str:
        """In plain words; empty when the state has been read once."""
        if self.follower.is_loaded:
            return ""
        return f"the state topic {self.follower.topic.name} was not read yet: {self.follower.problem}"

    async def follow(self) -> None:
        """Reads the topic, until cancelled. Raises UnusableTopic."""
        await self.follower.load()
        await self.follower.run()

    async def close(self) -> None:
        await self.writer.close()
