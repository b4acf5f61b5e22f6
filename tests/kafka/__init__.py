"""Real Apache Kafka for tests, the demo and the benchmarks.

`open_cluster` picks where it comes from: a cluster named by ZONEGATE_TEST_BOOTSTRAP, else brokers of our own on the
JDK, else containers where only a Docker engine is there, else a message that says what is missing.
"""

import os
from collections.abc import Mapping, Sequence

from tests.kafka.cluster import Cluster, KafkaCluster
from tests.kafka.container import ContainerCluster, docker_answers
from tests.kafka.distribution import MissingRequirement, distribution
from tests.kafka.settings import Security

BOOTSTRAP_VARIABLE = "ZONEGATE_TEST_BOOTSTRAP"

__all__ = ["BOOTSTRAP_VARIABLE", "Cluster", "KafkaCluster", "MissingRequirement", "Security", "open_cluster"]


def open_cluster(
    acl: bool = False,
    users: Mapping[str, str] | None = None,
    super_users: Sequence[str] = (),
    config: Mapping[str, str] | None = None,
    security: Security | None = None,
) -> Cluster:
    """A cluster that is not started yet: use it in a with statement. The options are KafkaCluster's."""
    bootstrap = os.environ.get(BOOTSTRAP_VARIABLE)
    if bootstrap:
        if acl or users or config or security:
            raise MissingRequirement(f"{BOOTSTRAP_VARIABLE} names a plain cluster; these tests need one of their own")
        return Cluster(bootstrap)
    try:
        distribution()
    except MissingRequirement as missing:
        if not docker_answers():
            raise MissingRequirement(f"{missing}\nA Docker engine would do instead, and none answers.") from None
        return ContainerCluster(acl, users, super_users, config, security)
    return KafkaCluster(acl, users, super_users, config, security)
