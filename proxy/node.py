"""One broker of one of the Kafka clusters; brokers' ids are unique in their cluster only."""

from typing import NamedTuple


class Node(NamedTuple):
    cluster: str
    """The cluster's id in the settings; empty for the only one that has none."""
    id: int
