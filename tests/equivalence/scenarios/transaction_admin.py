"""DescribeTransactions (65) and ListTransactions (66)."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.equivalence.apis import Api
from tests.equivalence.names import LEDGER, ORDERS, Role
from tests.equivalence.scenario import ALL_VERSIONS, Scenario, asks
from tests.equivalence.scenarios.transactions import NEEDS, begin, of, transaction
from tests.equivalence.side import Seat


def lives(seat: Seat) -> Mapping[str, Any]:
    """One transaction: begun, going on, ended."""
    with transaction(seat) as work:
        asked = {"transactional_ids": [work.id]}
        begun = seat.ask(asked)
        work.add(of(LEDGER, 1, 0), of(ORDERS, 0))
        work.add_offsets(seat.name("-group"))
        ongoing = seat.ask(asked)
        work.end(True)
        return {"begun": begun, "ongoing": ongoing, "ended": seat.ask(asked)}


def several(seat: Seat) -> Mapping[str, Any]:
    own = begin(seat).id
    return {"answer": seat.ask({"transactional_ids": ["nobody-s", own, "", own, seat.name("-other")]})}


def describing(name: str, ids: Sequence[str], role: Role = Role.PARTNER) -> Scenario:
    return asks(Api.DESCRIBE_TRANSACTIONS, name, lambda _: {"transactional_ids": ids}, role)


def listing(name: str, role: Role = Role.PARTNER, versions: tuple[int, int] = ALL_VERSIONS, **fields: Any) -> Scenario:
    def play(seat: Seat) -> Mapping[str, Any]:
        if role is not Role.PARTNER:
            return {"answer": seat.ask(fields)}
        with transaction(seat) as work:
            work.add(of(LEDGER, 0))
            return {"answer": seat.ask(fields)}

    return Scenario(Api.LIST_TRANSACTIONS, name, play, role, versions, NEEDS)


def by_producer(seat: Seat) -> Mapping[str, Any]:
    with transaction(seat) as work:
        work.add(of(LEDGER, 0))
        filters = [work.producer_id, work.producer_id + 1_000_000]
        return {"answer": seat.ask({"producer_id_filters": filters})}


def by_pattern(seat: Seat) -> Mapping[str, Any]:
    work = begin(seat)
    patterns = (work.id, "pa-by-pattern.*", "by-pattern", ".*pattern.*", f"({work.id})|x", "nothing", "")
    return {pattern: seat.ask({"transactional_id_pattern": pattern}) for pattern in patterns}


SCENARIOS = (
    Scenario(Api.DESCRIBE_TRANSACTIONS, "whole-life", lives, needs=NEEDS),
    Scenario(Api.DESCRIBE_TRANSACTIONS, "several", several, needs=NEEDS),
    describing("unknown", ["nobody-s"]),
    describing("empty", [""]),
    describing("reader", ["nobody-s", ""], Role.READER),
    describing("nothing", []),
    listing("all"),
    listing("reader", Role.READER),
    listing("ongoing", state_filters=["Ongoing"]),
    listing("ended", state_filters=["CompleteCommit", "CompleteAbort"]),
    listing("unknown-states", state_filters=["Ongoing", "Sleeping"]),
    listing("short-ones", versions=(1, 99), duration_filter=3_600_000),
    listing("bad-pattern", versions=(2, 99), transactional_id_pattern="(["),
    Scenario(Api.LIST_TRANSACTIONS, "by-producer", by_producer, needs=NEEDS),
    Scenario(Api.LIST_TRANSACTIONS, "by-pattern", by_pattern, versions=(2, 99), needs=NEEDS),
)
