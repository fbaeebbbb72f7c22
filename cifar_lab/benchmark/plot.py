"""The plot of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from matplotlib.figure import Figure

from cifar_lab.benchmark.comparison import Comparison


def plot_speed(comparisons: Sequence[Comparison]) -> Figure:
    """Plot each experiment's speed-up as a bar, with the smallest and the largest of its pairs."""
    figure = Figure(figsize=(7, 1.4 + 0.5 * len(comparisons)), layout="constrained")
    axes = figure.subplots()
    middles = [median(one.ratios) for one in comparisons]
    spread = [
        [middle - min(one.ratios) for middle, one in zip(middles, comparisons, strict=True)],
        [max(one.ratios) - middle for middle, one in zip(middles, comparisons, strict=True)],
    ]
    names = [f"{one.title}\n({one.dataset}, {one.library.precision})" for one in comparisons]
    axes.barh(names, middles, xerr=spread, height=0.6, capsize=3)
    for place, (middle, one) in enumerate(zip(middles, comparisons, strict=True)):
        axes.text(max(one.ratios), place, f"  {middle:.1f} x", va="center", size=9)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="speed-up over the baseline (images per second)")
    return figure
