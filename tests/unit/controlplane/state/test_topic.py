"""That the state topic is looked at before it is used, although brokers hear of a new one at different times."""

from types import SimpleNamespace
from typing import Any

import pytest

from controlplane.state import topic as module
from controlplane.state.topic import StateTopic, UnusableTopic
from proxy.config import ClusterConfig

EXISTS, UNKNOWN = 36, 3


class Admin:
    """Of brokers that know the topic of somebody else only after so many questions."""

    def __init__(self, partitions: int, policy: str, unknown: list[str]) -> None:
        self.partitions, self.policy, self.unknown = partitions, policy, unknown
        self.asked: list[str] = []

    def __call__(self, **_: object) -> "Admin":
        return self

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def _code(self, question: str) -> int:
        self.asked.append(question)
        if question in self.unknown:
            self.unknown.remove(question)
            return UNKNOWN
        return 0

    async def describe_configs(self, _resources: object) -> list[Any]:
        entries = [("cleanup.policy", self.policy)]
        return [SimpleNamespace(resources=[(self._code("configs"), "", 2, "_zonegate", entries)])]

    async def describe_topics(self, _topics: object) -> list[Any]:
        code = self._code("topics")
        return [{"error_code": code, "partitions": [] if code else [{}] * self.partitions}]

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [1, 2, 3]}

    async def create_topics(self, _topics: object) -> Any:
        self.asked.append("create")
        return SimpleNamespace(topic_errors=[("_zonegate", EXISTS, "it exists")])


async def ensure(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AIOKafkaAdminClient", admin)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0)
    await StateTopic("_zonegate", ClusterConfig(bootstrap_servers=(("b", 1),)), lambda: None).ensure()


@pytest.mark.parametrize("unknown", [[], ["configs"], ["topics"], ["configs", "topics", "configs"]])
async def test_one_that_somebody_else_has_made_is_looked_at(
    unknown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = len(unknown) + 1
    admin = Admin(1, "compact", unknown)
    await ensure(admin, monkeypatch)
    assert admin.asked.count("create") == rounds - 1
    for partitions, policy, complaint in ((2, "compact", "has 2 partitions"), (1, "delete", "cleanup.policy=delete")):
        for late in ("configs", "topics"):
            with pytest.raises(UnusableTopic, match=complaint):
                await ensure(Admin(partitions, policy, [late] * (rounds - 1)), monkeypatch)
