"""Small charts as SVG, by numbers alone: templates draw them, and style sheets colour them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 60.0
BAR: Final = 4.0
"""Wide, of a step of 5."""
STEP: Final = 5.0
LEAST: Final = 1.0
"""High is what isn't nothing."""


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    bars: Sequence[Bar]
    width: float
    total: float
    peak: float


def bar_chart(values: Sequence[float]) -> Chart:
    """One bar for each value that isn't nothing, the highest as high as the chart."""
    peak = max(values, default=0)
    bars = [
        Bar(number * STEP, HEIGHT - height, height)
        for number, value in enumerate(values)
        if value > 0 and (height := round(max(value / peak * HEIGHT, LEAST), 2))
    ]
    return Chart(bars, len(values) * STEP, sum(values), peak)


def share(rate: float, limit: float) -> float:
    """Of a limit, in per cent, at most all of it."""
    return round(min(100.0, 100.0 * rate / limit), 1)
