"""Where the gateway answers otherwise than Kafka on purpose. Each must occur, or its test fails."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from tests.equivalence.apis import Api
from tests.equivalence.normal import ABSENT, Plain
from tests.equivalence.scenario import ALL_VERSIONS, Scenario

ANY: Final = object()
"""A value that isn't worth writing down."""


@dataclass(frozen=True, slots=True)
class Difference:
    """In these scenarios of an API, fields that match have these two values."""

    api: Api
    scenarios: tuple[str, ...]
    field: str
    """A path with * for anything."""
    kafka: Plain
    ours: Plain
    reason: str
    versions: tuple[int, int] = ALL_VERSIONS

    def applies(self, scenario: Scenario, version: int) -> bool:
        in_versions = self.versions[0] <= version <= self.versions[1]
        return scenario.api == self.api and scenario.name in self.scenarios and in_versions

    def explains(self, path: str, kafka: Plain, ours: Plain) -> bool:
        return fnmatchcase(path, self.field) and self.kafka in (ANY, kafka) and self.ours in (ANY, ours)


NO_SUCH_ID: Final = (29, 100)
"""TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_ID"""
UNGRANTED_ID = (
    "Nobody can learn the id of a topic outside the zone, and ids of the zone's topics are virtual: a real id is one of"
    " no topic. Kafka's 29 would say that there is such a topic."
)
NO_SESSION = "Fetch sessions never reach a broker: inside one, requests name no topics that could be authorised."
CONSUMER = "Every fetch is a consumer's: a follower's would read past the high watermark and move replicas."
BROKERS_SETTINGS = "A value's synonyms include the brokers' own settings, which are not the zone's."
NULL_NAME = "Kafka fails inside (error -1 for everything, no brokers); a null name is a topic that isn't granted."
TWICE = "Every entry of the request is answered; Kafka tells of a partition that is there twice once."
OPAQUE = (
    "Batches are never looked into, so a transactional id that may not be used refuses the request. Kafka first looks"
    " whether there is a transactional batch; no client sends the id without."
)

MEMBERS_HOST = "Brokers see the gateway's address as that of every member, and the members' own are not kept anywhere."
NOT_LOOKED_UP = "What nobody may do is refused without asking a broker, which could tell whether the topic is there."
OTHERS_PRODUCERS = (
    "The producers of a backing topic are those of everybody, and knowing a producer's id is enough to fence it."
)
OWN_TEXT = "Kafka leaves the text to the client; ours is the one that its clients then show."
ONE_CODE = "One code answers the request; Kafka adds an entry without a name for each user that was asked for."
SAY_AGAIN = (
    "The gateway has to know what a member has subscribed to, so one that it doesn't know is made to say everything"
    " again before a broker hears of it."
)
PATTERNS = (
    "pattern",
    "pattern-of-a-reader",
    "pattern-and-name",
    "pattern-of-nothing",
    "pattern-of-a-part",
    "pattern-of-the-ungranted",
)

DIFFERENCES: tuple[Difference, ...] = (
    *(
        Difference(api, (scenario,), "answer.*.the id of secret.*error_code", *NO_SUCH_ID, UNGRANTED_ID)
        for api, scenario in (
            (Api.PRODUCE, "mixed-with-an-ungranted-id"),
            (Api.FETCH, "mixed-with-an-ungranted-id"),
            (Api.OFFSET_COMMIT, "mixed-with-an-ungranted-id"),
            (Api.OFFSET_FETCH, "mixed-with-an-ungranted-id"),
        )
    ),
    Difference(
        Api.PRODUCE,
        ("transaction-mixed",),
        "answer.*.the id of secret.*error_code",
        *NO_SUCH_ID,
        UNGRANTED_ID,
        (13, 99),
    ),
    Difference(
        Api.METADATA, ("ungranted-id",), "answer.topics.None/the id of secret.error_code", *NO_SUCH_ID, UNGRANTED_ID
    ),
    Difference(
        Api.DELETE_TOPICS,
        ("ungranted-id",),
        "answer.responses.*/the id of secret.error_code",
        *NO_SUCH_ID,
        UNGRANTED_ID,
    ),
    Difference(
        Api.FETCH,
        ("new-session", "new-session-of-nothing", "new-session-denied"),
        "answer.session_id",
        "a session",
        0,
        NO_SESSION,
    ),
    Difference(Api.FETCH, ("as-a-follower",), "answer.responses.*", ANY, ANY, CONSUMER),
    Difference(Api.METADATA, ("null-name",), "answer.*", ANY, ANY, NULL_NAME),
    Difference(
        Api.DESCRIBE_CONFIGS,
        ("topic-with-synonyms",),
        "answer.results.*.configs.*.synonyms.*",
        ANY,
        ABSENT,
        BROKERS_SETTINGS,
    ),
    Difference(
        Api.LIST_OFFSETS,
        ("partition-twice", "same-partition-twice"),
        "answer.topics.orders.partitions.0 again",
        ABSENT,
        ANY,
        TWICE,
    ),
    *(
        Difference(api, scenarios, "*.client_host", ANY, ANY, MEMBERS_HOST)
        for api, scenarios in (
            (Api.DESCRIBE_GROUPS, ("several", "reader", "operations", "another-kind", "ungranted-topics")),
            (Api.CONSUMER_GROUP_DESCRIBE, ("several", "reader", "operations")),
            (Api.CONSUMER_GROUP_HEARTBEAT, PATTERNS),
        )
    ),
    Difference(Api.DELETE_TOPICS, ("names",), "answer.responses.vanished.error_code", 3, 29, NOT_LOOKED_UP),
    Difference(
        Api.DELETE_TOPICS, ("names-or-ids",), "answer.responses.vanished/no id.error_code", 3, 29, NOT_LOOKED_UP
    ),
    *(
        Difference(Api.DESCRIBE_PRODUCERS, ("several",), f"answer.topics.{topic}.*", ANY, ANY, OTHERS_PRODUCERS)
        for topic in ("orders", "prices", "vanished")
    ),
    *(
        Difference(api, scenarios, field, None, "a text", OWN_TEXT)
        for api, scenarios, field in (
            (Api.CREATE_PARTITIONS, ("several",), "answer.results.*.error_message"),
            (Api.DESCRIBE_CLIENT_QUOTAS, ("all", "one"), "answer.error_message"),
            (Api.DESCRIBE_USER_SCRAM_CREDENTIALS, ("some",), "answer.error_message"),
            (Api.INCREMENTAL_ALTER_CONFIGS, ("several",), "answer.responses.8/1.error_message"),
        )
    ),
    Difference(Api.DESCRIBE_USER_SCRAM_CREDENTIALS, ("some",), "answer.results", ANY, ANY, ONE_CODE),
    Difference(Api.CONSUMER_GROUP_HEARTBEAT, ("unknown-member",), "answer.error_code", 69, 16, SAY_AGAIN),
    *(
        Difference(Api.CONSUMER_GROUP_HEARTBEAT, ("whole-life", "whole-life-of-a-reader"), field, 25, 16, SAY_AGAIN)
        for field in ("fenced.error_code", "gone.error_code")
    ),
    Difference(
        Api.PRODUCE,
        ("plain-batch-with-an-id-of-a-reader",),
        "answer.responses.*.error_code",
        29,
        53,
        OPAQUE,
    ),
)
