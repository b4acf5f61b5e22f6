"""Topic ids that a client knows and this process doesn't: of a topic that was created since the start, whose metadata
another process has passed on."""

import asyncio
from collections.abc import Iterable, Mapping
from unittest.mock import patch

from policies.topic_ids import virtual_topic_id
from proxy.cluster import Cluster
from proxy.gateway import LEARN_SECONDS, Gateway
from tests.unit.proxy.playbook import CONFIG, ZONE, backing_id

ALIAS = ZONE.aliases[0]


def test_an_unknown_id_has_the_ids_learnt_now_and_then() -> None:
    asked: list[set[str]] = []

    async def topic_ids(_cluster: Cluster, topics: Iterable[str]) -> Mapping[str, bytes]:
        asked.append(set(topics))
        return {topic: backing_id(topic) for topic in topics}

    async def scene() -> None:
        gateway = Gateway(CONFIG, [ZONE], [])
        zones = gateway._services.zones
        zones.identify("", "a cluster")
        gateway._services.clusters.first.cluster_id = "a cluster"
        zone = zones.zones[ZONE.name]
        alias_id = virtual_topic_id(zone.ids.key, ZONE.name, ALIAS.name, backing_id(ALIAS.topic))

        gateway._learn_missed_ids(100.0)
        assert not gateway._tasks, "nobody has missed anything"
        assert zone.alias_with_id(alias_id) is None
        gateway._learn_missed_ids(100.0)
        await asyncio.gather(*gateway._tasks)
        assert asked == [{alias.topic for alias in ZONE.aliases}]
        assert zone.alias_with_id(alias_id) == ALIAS

        assert zone.alias_with_id(b"nobody's, of 16 ") is None
        gateway._learn_missed_ids(100.0 + LEARN_SECONDS)
        assert len(asked) == 1, "too soon"
        gateway._learn_missed_ids(100.1 + LEARN_SECONDS)
        await asyncio.gather(*gateway._tasks)
        assert len(asked) == 2
        gateway._learn_missed_ids(200.0)
        assert not gateway._tasks, "since then nobody has missed anything"

    with patch.object(Cluster, "topic_ids", topic_ids):
        asyncio.run(scene())
