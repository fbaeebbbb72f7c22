"""One colour for each network in all plots, and other looks that the plots share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cifar_lab.experiments.catalog import EXPERIMENTS

# Okabe and Ito's palette for all kinds of colour vision, without its yellow, which fades on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("solid", (0, (6, 1.5, 1.5, 1.5)), (0, (10, 2)), (0, (3, 1, 1, 1, 1, 1)))
GOOD, BAD, NEUTRAL = "#00785A", "#B34700", "#595959"  # of 4.5 : 1 contrast on white, as text
GRID: dict[str, Any] = {"alpha": 0.3, "linewidth": 0.6}


@dataclass(frozen=True)
class Style:
    """The look of a network's lines and points."""

    color: str
    marker: str
    dashes: str | tuple[int, tuple[float, ...]]


# The styles given so far: two networks never share one, and each keeps its own in later plots.
_given: dict[str, int] = {}


def style_of(title: str) -> Style:
    """Return the style of a network, the same in all plots of a session.

    It follows from the title. Only where another network has that style already is it the next
    free one.
    """
    if title not in _given:
        taken = set(_given.values())
        laps = range(1 + len(taken) // len(COLORS))
        wanted = (len(COLORS) * lap + color for lap in laps for color in _colors_for(title))
        _given[title] = next(number for number in wanted if number not in taken)
    number = _given[title]
    lap = number // len(COLORS)
    return Style(
        COLORS[number % len(COLORS)], MARKERS[lap % len(MARKERS)], DASHES[lap % len(DASHES)]
    )


def line_of(title: str, among: Iterable[str]) -> dict[str, Any]:
    """Return the colour of a network's line, and its dashes where another has the same colour.

    Args:
        title: The network's title.
        among: The titles of all networks in the plot.
    """
    style = style_of(title)
    alike = [each for each in dict.fromkeys(among) if style_of(each).color == style.color]
    return {"color": style.color, "linestyle": style.dashes if len(alike) > 1 else "solid"}


def _colors_for(title: str) -> list[int]:
    """Return the numbers of the colours, those that the title should have first."""
    known = [experiment.title for experiment in EXPERIMENTS.values()]
    if title in known:  # the catalogue's have the colours in order
        first = known.index(title)
        return [(first + step) % len(COLORS) for step in range(len(COLORS))]
    # Others have the last two first, which leaves the catalogue's first networks their own.
    last = len(COLORS) - 1 - hashlib.sha256(title.encode()).digest()[0] % 2
    return [last, *(color for color in reversed(range(len(COLORS))) if color != last)]


def log_ticks(axes: Axes, scale: str = "x") -> None:
    """Give a logarithmic axis ticks at 1, 2 and 5 times powers of ten, such as 20k, 50k, 100k.

    Over more than two powers of ten, only the powers have a text.
    """
    axis = axes.xaxis if scale == "x" else axes.yaxis
    axes.set(**{f"{scale}scale": "log"})
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=100))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def short_number(value: float) -> str:
    """Return a number in few characters: 950, 20k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def plain_name(name: str) -> str:
    """Return a class name as a reader writes it, without underscores."""
    return name.replace("_", " ")
