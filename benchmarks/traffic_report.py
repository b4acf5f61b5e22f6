"""The tables about limits and about several worker processes."""

from collections.abc import Sequence
from statistics import median, quantiles

import neighbours as beside
import workers as processes
from cases import IN_FLIGHT, Kind, Measurement
from neighbours import Neighbours
from report import cpu, cpu_range, per_gigabyte, section, shape
from targets import LIMITED_ZONE, OPEN_ZONE, UNREACHED_ZONE
from workers import Working


def limit_costs(measurements: Sequence[Measurement]) -> str:
    rows = []
    for item in measurements:
        unit = "GB" if per_gigabyte(item) else "1,000 requests"
        without, with_limits = (
            median(cpu(item, sample) for sample in item.samples[zone.name]) for zone in (OPEN_ZONE, UNREACHED_ZONE)
        )
        rows.append(
            [
                f"{shape(item.case, item.kind)} (CPU seconds per {unit})",
                cpu_range(item, OPEN_ZONE.name),
                cpu_range(item, UNREACHED_ZONE.name),
                f"{with_limits / without:.2f}",
            ]
        )
    return section("What limits cost that are never reached", ["", "zone without limits", "with limits", "ratio"], rows)


def neighbours(found: Sequence[Neighbours]) -> str:
    alone = {item.kind: item for item in found if not item.greedy}
    assert LIMITED_ZONE.rate is not None
    text = (
        f"\nTwo modest connections send {1 / beside.MODEST_INTERVAL:.0f} requests a second each: one in a zone that is"
        f" limited to {LIMITED_ZONE.rate / 1e6:g} MB/s, one in a zone without limits. Greedy ones in the limited zone"
        f" send as much as they can, without waiting. {_found(found, alone)}\n"
    )
    header = [
        "",
        "modest one in the limited zone, p50 / p99 ms (p99 to alone)",
        "longest `throttle_time_ms` it is told",
        "modest one in the other zone, p50 / p99 ms (p99 to alone)",
        "limited zone, MB/s",
        "of these the greedy ones",
        "CPU of the gateway",
    ]
    rows = [
        [
            f"{item.kind}, {_greedy(item.greedy)}",
            _latency(item.beside.latencies, alone[item.kind].beside.latencies),
            f"{max(item.beside.throttle_times) * 1e3:.0f}",
            _latency(item.elsewhere.latencies, alone[item.kind].elsewhere.latencies),
            f"{(item.greedy_bytes + item.modest_bytes) / item.seconds / 1e6:.2f}",
            f"{item.greedy_bytes / item.seconds / 1e6:.2f}",
            f"{item.cpu_seconds / item.seconds:.0%}",
        ]
        for item in found
    ]
    return section("A modest connection beside greedy ones", header, rows, text)


def workers(found: Sequence[Working]) -> str:
    connections = processes.CROWDS * processes.CONNECTIONS
    text = (
        f"\n{connections} connections with {IN_FLIGHT} requests in flight each. The gateway isn't pinned to a core"
        " here; the brokers and the load generator share the cores with it, so CPU seconds tell more than throughput.\n"
    )
    header = ["", *(f"{count} worker{'s' if count > 1 else ''}" for count in processes.COUNTS)]
    rows = []
    for work, row in processes.by_work(found).items():
        one = row[0].requests / row[0].seconds
        rates = [item.requests / item.seconds for item in row]
        rows.append([f"{work.words} (requests/s)", *(f"{rate:,.0f} ({rate / one:.2f})" for rate in rates)])
        costs = [item.cpu_seconds / item.requests * 1e3 for item in row]
        rows.append([f"{work.words} (CPU seconds per 1,000 requests)", *(f"{cost:.3f}" for cost in costs)])
    return section("One worker process and two", header, rows, text)


def _found(found: Sequence[Neighbours], alone: dict[Kind, Neighbours]) -> str:
    """What the table shows, in a sentence."""
    most = max(beside.GREEDY)
    parts = []
    for item in found:
        if item.greedy == most:
            reference = alone[item.kind]
            same, other = (
                _p99(seen.latencies) / _p99(before.latencies)
                for seen, before in ((item.beside, reference.beside), (item.elsewhere, reference.elsewhere))
            )
            parts.append(f"to {item.kind} takes {same:.1f} times as long in the limited zone, {other:.1f} in the other")
    return f"Beside {most} of them, at the 99th percentile, {'; '.join(parts)}."


def _greedy(count: int) -> str:
    return f"{count or 'no'} greedy connection{'' if count == 1 else 's'}"


def _latency(latencies: Sequence[float], alone: Sequence[float]) -> str:
    p50, p99 = (quantiles(latencies, n=100)[rank - 1] * 1e3 for rank in (50, 99))
    return f"{p50:.2f} / {p99:.2f} ({_p99(latencies) / _p99(alone):.1f})"


def _p99(latencies: Sequence[float]) -> float:
    return quantiles(latencies, n=100)[98]
