"""The figures as Markdown, and what they are held against."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from cases import Case, Kind, Measurement, Sample
from targets import Target

BEGIN, END = "<!-- figures: written by benchmarks/run.py -->", "<!-- end of figures -->"
GATEWAY, DIRECT = "zonegate", "direct"
NOT_MEASURED = "–"  # noqa: RUF001 - a dash, as tables have it


@dataclass(frozen=True, slots=True)
class Aim:
    """The most CPU that the gateway should spend on one case: 1.5 times what a prototype spent."""

    case: str
    kind: Kind
    limit: float


AIMS = (
    Aim("single-200", "produce", 0.060),
    Aim("unbatched-200", "produce", 0.060),
    Aim("batched-1024", "produce", 1.5),
    Aim("batched-1024", "consume", 1.5),
)


def shape(case: Case, kind: Kind) -> str:
    """A case in words."""
    size = "1 KiB" if case.value_bytes == 1024 else f"{case.value_bytes} B"
    if case.client:
        how = "librdkafka, its default batches"
    elif case.batch_bytes is not None:
        how = f"{case.batch_bytes // 1000} kB batches"
    elif kind == "consume":
        how = "written unbatched"
    else:
        how = "one record per request"
    if kind == "produce" and not case.client:
        how += ", one at a time" if case.window == 1 else f", {case.window} in flight"
    return f"{kind} {size}, {how}"


def throughput(measurement: Measurement, target: str) -> float:
    """MB/s of batched records, else records per second."""
    if measurement.case.batched:
        return _median(measurement, target, lambda sample: sample.load.payload_bytes / sample.load.seconds / 1e6)
    return _median(measurement, target, lambda sample: sample.load.records / sample.load.seconds)


def cpu(measurement: Measurement, sample: Sample) -> float:
    """CPU seconds per GB of batched records and of all that is consumed, else per 1,000 requests."""
    assert sample.cpu_seconds is not None
    if per_gigabyte(measurement):
        return sample.cpu_seconds / sample.load.payload_bytes * 1e9
    return sample.cpu_seconds / sample.load.requests * 1e3


def per_gigabyte(measurement: Measurement) -> bool:
    return measurement.case.batched or measurement.kind == "consume"


def line(measurement: Measurement) -> str:
    """One line of progress."""
    unit = "MB/s" if measurement.case.batched else "records/s"
    words = [f"{shape(measurement.case, measurement.kind):56}"]
    for target, samples in measurement.samples.items():
        words.append(f"{target} {throughput(measurement, target):,.0f} {unit}")
        if samples[0].cpu_seconds is not None:
            unit_of_cpu = "s/GB" if per_gigabyte(measurement) else "s/1,000 requests"
            words[-1] += f", CPU {cpu_range(measurement, target)} {unit_of_cpu}"
    return "; ".join(words)


def tables(measurements: Sequence[Measurement], targets: Sequence[Target], resident: dict[str, float]) -> str:
    """Everything between the markers but the circumstances."""
    names = [target.name for target in targets]
    proxies = [name for name in names if name != DIRECT]
    single = [
        item for item in measurements if item.case.window == 1 and item.kind == "produce" and not item.case.client
    ]
    bulk = [item for item in measurements if item not in single]
    parts = []
    if bulk:
        rows = [[_with_unit(item), *_throughputs(item, names)] for item in bulk]
        parts.append(section("Throughput, and its ratio to direct", ["", *names], rows))
    if single:
        rows = [[shape(item.case, item.kind), *(_latency(item, name) for name in names)] for item in single]
        parts.append(section("Latency of a single produce, p50 / p99 in milliseconds", ["", *names], rows))
    for title, wanted in (("1,000 requests", False), ("GB of records", True)):
        chosen = [item for item in measurements if per_gigabyte(item) is wanted]
        rows = [[shape(item.case, item.kind), *(cpu_range(item, name) for name in proxies)] for item in chosen]
        if rows:
            parts.append(section(f"CPU seconds of the proxy per {title}", ["", *proxies], rows))
    memory = [f"{resident[name]:.0f} MB" for name in proxies]
    parts.append(section("Resident memory after all this", proxies, [memory]))
    return "".join(parts)


def verdicts(measurements: Sequence[Measurement]) -> list[str]:
    """Whether the aims are met, one line each."""
    found = {(item.case.name, item.kind): item for item in measurements}
    lines = []
    for aim in AIMS:
        if (item := found.get((aim.case, aim.kind))) is not None:
            value = _median(item, GATEWAY, lambda sample, item=item: cpu(item, sample))  # type: ignore[misc]
            unit = "GB" if per_gigabyte(item) else "1,000 requests"
            verdict = "met" if value <= aim.limit else "**not met**"
            text = (
                f"{shape(item.case, item.kind)}: {value:.3g} CPU seconds per {unit}, at most {aim.limit:g}: {verdict}"
            )
            lines.append(text)
    return lines


def write(page: Path, text: str) -> None:
    """Replace what stands between the page's markers."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: the markers {BEGIN!r} and {END!r} are missing")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def _median(measurement: Measurement, target: str, figure: Callable[[Sample], float]) -> float:
    return median(map(figure, measurement.samples[target]))


def cpu_range(measurement: Measurement, target: str) -> str:
    """Median, and in brackets the least and the most."""
    if target not in measurement.samples:
        return NOT_MEASURED
    values = [cpu(measurement, sample) for sample in measurement.samples[target]]
    digits = 2 if per_gigabyte(measurement) else 3
    spread = f" ({min(values):.{digits}f}-{max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{median(values):.{digits}f}{spread}"


def _with_unit(measurement: Measurement) -> str:
    return f"{shape(measurement.case, measurement.kind)} ({'MB/s' if measurement.case.batched else 'records/s'})"


def _throughputs(measurement: Measurement, targets: Iterable[str]) -> Iterable[str]:
    reference = throughput(measurement, DIRECT)
    for target in targets:
        if target not in measurement.samples:
            yield NOT_MEASURED
        elif target == DIRECT:
            yield f"{reference:,.0f}"
        else:
            value = throughput(measurement, target)
            yield f"{value:,.0f} ({value / reference:.2f})"


def _latency(measurement: Measurement, target: str) -> str:
    """The median run's percentiles."""
    if target not in measurement.samples:
        return NOT_MEASURED
    percentiles = [quantiles(sample.load.latencies, n=100) for sample in measurement.samples[target]]
    p50, p99 = (median(each[rank - 1] for each in percentiles) * 1e3 for rank in (50, 99))
    return f"{p50:.2f} / {p99:.2f}"


def section(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], text: str = "") -> str:
    """A table; `text` stands before it."""
    lines = [header, ["---"] * len(header), *rows]
    return f"\n### {title}\n{text}\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
