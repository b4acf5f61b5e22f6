"""How the activity topic is made, and what is said of one that can't be used."""

from typing import Any

import pytest
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from controlplane.activity.topic import SETTINGS, ActivityTopic, activity_problem
from controlplane.state import topic as state_module
from controlplane.state.topic import UnusableTopic
from proxy.config import ClusterConfig
from tests.unit.controlplane.state.test_topic import Admin


class Creating(Admin):
    """Of brokers that keep what they are told to make."""

    made: Any

    async def create_topics(self, topics: Any) -> Any:
        (self.made,) = topics
        return await super().create_topics(topics)


async def ensure(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> ActivityTopic:
    monkeypatch.setattr(state_module, "AIOKafkaAdminClient", admin)
    monkeypatch.setattr(state_module, "AGAIN_SECONDS", 0)
    topic = ActivityTopic("_zonegate", ClusterConfig(bootstrap_servers=(("b", 1),)), lambda: None)
    await topic.ensure()
    return topic


async def test_it_is_beside_the_state_topic_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Creating(1, "delete", ["configs"])
    topic = await ensure(admin, monkeypatch)
    assert (topic.name, admin.made.name) == ("_zonegate-activity",) * 2
    assert (admin.made.num_partitions, admin.made.replication_factor) == (1, 3)
    assert admin.made.topic_configs == SETTINGS


async def test_one_that_is_compacted_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnusableTopic, match=r"--add-config cleanup\.policy=delete"):
        await ensure(Admin(1, "compact", []), monkeypatch)


def test_what_is_missing_is_said() -> None:
    for error in (TopicAuthorizationFailedError(), ClusterAuthorizationFailedError()):
        assert "needs Create, Read, Write and DescribeConfigs" in activity_problem(error)
    assert activity_problem(KafkaConnectionError("gone")) == "KafkaConnectionError: gone"
