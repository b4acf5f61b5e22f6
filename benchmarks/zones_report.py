"""The table about many zones."""

from collections.abc import Callable, Sequence
from statistics import median, quantiles

from many_zones import EDITS, STARTS, Found
from populations import ALIASES
from report import NOT_MEASURED, section


def many_zones(found: Sequence[Found]) -> str:
    """The first is of a single zone."""
    one = found[0]
    text = (
        f"\nZones of {ALIASES} aliases and a password each, in a state topic of three replicas; `zonegate"
        f" serve`, one process with the API. Medians of {STARTS} starts and {EDITS} edits, in brackets the most.\n"
    )
    return section("Many zones", ["", *(_title(item) for item in found)], [*_rows(found, one)], text)


def line(found: Found) -> str:
    """One line of progress."""
    ready, seen = _most(found.ready, 1, 1), _most(found.seen, 1e3, 0)
    return f"{_title(found)}: ready after {ready} s, {found.resident_megabytes:.0f} MB, edits seen after {seen} ms"


def _title(found: Found) -> str:
    population = found.population
    if population.zones == 1:
        return "1 zone"
    kind = "a backing topic for each alias, which don't exist" if population.own_topics else f"{ALIASES} backing topics"
    return f"{population.zones:,} zones, {kind}"


def _rows(found: Sequence[Found], one: Found) -> list[list[str]]:
    figures: Sequence[tuple[str, Callable[[Found], str]]] = (
        ("start until ready, s", lambda item: _most(item.ready, 1, 1)),
        ("of these until the state topic was read, s", lambda item: _most(item.read, 1, 1)),
        ("CPU seconds until ready", lambda item: _most(item.ready_cpu, 1, 1)),
        ("resident when ready, MB", lambda item: f"{item.resident_megabytes:.0f}"),
        ("more than with one zone, for each zone, KB", lambda item: _per_zone(item, one)),
        ("resident after all this, MB", lambda item: f"{item.resident_at_end_megabytes:.0f}"),
        ("CPU while idle", lambda item: f"{item.idle_cpu:.1%}"),
        ("PUT of one more alias until its answer, ms", lambda item: _most(item.put, 1e3, 0)),
        ("… until a client sees the alias, ms", lambda item: _most(item.seen, 1e3, 0)),
        ("CPU of an edit, all told, ms", lambda item: f"{item.edit_cpu * 1e3:.0f}"),
        ("another connection's requests without edits, p50 / p99 / most ms", lambda item: _latency(item.beside_alone)),
        ("… during edits", lambda item: _latency(item.beside_edits)),
        ("list of all zones, s (MB)", lambda item: _answer(item.zones.seconds, item.zones.size)),
        ("… another connection's longest request meanwhile, ms", lambda item: _longest(item.zones.beside)),
        ("/metrics, s (MB)", lambda item: _answer(item.metrics.seconds, item.metrics.size)),
        ("… another connection's longest request meanwhile, ms", lambda item: _longest(item.metrics.beside)),
        ("CPU seconds per 1,000 requests to produce 200 B", lambda item: _cpu(item.cpu_per_1000)),
        ("… of the gateway with one zone, in turn with these", lambda item: _cpu(item.cpu_of_one)),
        ("… ratio", _ratio),
    )
    return [[words, *(figure(item) for item in found)] for words, figure in figures]


def _most(values: Sequence[float], factor: float, digits: int) -> str:
    return f"{median(values) * factor:.{digits}f} ({max(values) * factor:.{digits}f})"


def _per_zone(found: Found, one: Found) -> str:
    more = found.population.zones - one.population.zones
    return f"{(found.resident_megabytes - one.resident_megabytes) * 1e3 / more:.1f}" if more else NOT_MEASURED


def _latency(latencies: Sequence[float]) -> str:
    p50, p99 = (quantiles(latencies, n=100)[rank - 1] * 1e3 for rank in (50, 99))
    return f"{p50:.2f} / {p99:.1f} / {_longest(latencies)}"


def _longest(latencies: Sequence[float]) -> str:
    return f"{max(latencies) * 1e3:.0f}"


def _answer(seconds: Sequence[float], size: int) -> str:
    return f"{median(seconds):.2f} ({size / 1e6:.1f})"


def _cpu(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f}-{max(values):.3f})" if values else NOT_MEASURED


def _ratio(found: Found) -> str:
    if not found.cpu_of_one:
        return NOT_MEASURED
    return f"{median(found.cpu_per_1000) / median(found.cpu_of_one):.2f}"
