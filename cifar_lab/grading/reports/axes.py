"""The axes of the charts, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM = 40, 386, 26, 240  # of the area that data is drawn in
MOST_TICKS = 6


@dataclass(frozen=True)
class Axis:
    """A scale along one side.

    Attributes:
        low: Value at its start.
        high: Value at its end.
        ticks: Values with their labels.
        start: Place of its start.
        end: Place of its end.
        scale: Function of values that is drawn in proportion.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    start: float
    end: float
    scale: Callable[[float], float] = float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        low, high = self.scale(self.low), self.scale(self.high)
        return self.start + (self.scale(value) - low) / (high - low) * (self.end - self.start)


def percent_axis(values: Sequence[float]) -> Axis:
    """Return the vertical axis for percentages, no wider than they need."""
    span = max(max(values) - min(values), 2.0)
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 25) if span / step <= MOST_TICKS - 1)
    low = max(0.0, step * math.floor((min(values) - 0.05 * span) / step))
    high = min(100.0, step * math.ceil((max(values) + 0.05 * span) / step))
    count = round((high - low) / step)
    ticks = tuple((low + step * place, f"{low + step * place:g}") for place in range(count + 1))
    return Axis(low, high, ticks, BOTTOM, TOP)


def size_axis(sizes: Sequence[int]) -> Axis:
    """Return the horizontal, logarithmic axis for numbers of parameters."""
    low, high = min(sizes) / 1.3, max(sizes) * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0**power for power in powers for factor in factors]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= MOST_TICKS:
            break
    ticks = tuple((value, short(value)) for value in inside)
    return Axis(low, high, ticks, LEFT, RIGHT, math.log10)


def short(value: float) -> str:
    """Return a size in few characters, such as 20k or 1M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def epoch_axis(epochs: Sequence[int]) -> Axis:
    """Return the horizontal axis for epochs."""
    low, high = min(epochs), max(epochs)
    steps = [factor * 10**power for power in range(6) for factor in (1, 2, 5)]
    step = next((step for step in steps if (high - low) / step <= MOST_TICKS), high - low)
    ticks = tuple((epoch, f"{epoch}") for epoch in range(low, high + 1) if epoch % step == 0)
    margin = 0.5 if low == high else 0
    return Axis(low - margin, high + margin, ticks or ((low, f"{low}"),), LEFT, RIGHT)
