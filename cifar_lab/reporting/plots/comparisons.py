"""Many runs, or experiments, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from cifar_lab.experiments.ladder import Rung
from cifar_lab.experiments.published import Measured, pareto_front
from cifar_lab.experiments.results import Result
from cifar_lab.reporting.plots.common import PERCENT, dataset_title

if TYPE_CHECKING:
    from cifar_lab.benchmark.comparison import Comparison


def plot_accuracy_against_parameters(results: Sequence[Result]) -> Figure:
    """Test accuracy against the number of parameters (log scale): up and to the left is better."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    titles: dict[tuple[int, float], list[str]] = {}
    for result in results:
        titles.setdefault((result.parameters, result.test_accuracy), []).append(result.title)
    for point, names in titles.items():
        axes.scatter(*point, s=60)
        axes.annotate(
            " = ".join(names),
            point,
            xytext=(7, 5),
            textcoords="offset points",
            size=9,
        )
    axes.set_xscale("log")
    axes.set(xlabel="parameters (log scale)", ylabel=PERCENT, title=dataset_title(results))
    axes.margins(x=0.25, y=0.15)
    axes.grid(alpha=0.3, which="both")
    return figure


def plot_frontier(measured: Sequence[Measured], highlight: str = "") -> Figure:
    """Accuracy against parameters and against the cost of training, with each dataset's front.

    The front joins the experiments that no other beats at the same cost or less. A bar is the
    standard deviation between seeds, where there are several.

    Args:
        measured: an experiment each.
        highlight: the experiment that gets a large star.
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    datasets = list(dict.fromkeys(one.dataset for one in measured))
    for axes, cost, name in (
        (left, "parameters", "parameters (log scale)"),
        (right, "training_flops", "FLOPs of the whole training (log scale)"),
    ):
        for dataset in datasets:
            points = [
                (getattr(one, cost), one.accuracy) for one in measured if one.dataset == dataset
            ]
            front = np.array([points[number] for number in pareto_front(points)])
            axes.plot(front[:, 0], front[:, 1], color="lightgrey", zorder=1)
        for number, one in enumerate(measured):
            is_highlight = one.experiment == highlight
            axes.errorbar(
                getattr(one, cost),
                one.accuracy,
                one.spread or None,
                fmt="*" if is_highlight else "os^v"[datasets.index(one.dataset)],
                markersize=16 if is_highlight else 7,
                color=colormaps["tab20"](number % 20),
                capsize=3,
                label=f"{one.title} ({one.dataset})",
            )
        axes.set_xscale("log")
        axes.set(xlabel=name)
        axes.grid(alpha=0.3, which="both")
    left.set(ylabel=PERCENT)
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.suptitle(dataset_title(measured))
    return figure


def plot_ladder(rungs: Sequence[Rung]) -> Figure:
    """Each rung's validation accuracy, the bottom one first: a dot a seed and a bar to the mean."""
    figure = Figure(figsize=(9, 1.0 + 0.36 * len(rungs)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rungs))
    axes.barh(places, [rung.accuracy for rung in rungs], height=0.6, color="lightsteelblue")
    for place, rung in enumerate(rungs):
        axes.plot(rung.accuracies, [place] * len(rung.accuracies), "k.", markersize=5)
    axes.set_yticks(places, [rung.title for rung in rungs])
    values = [accuracy for rung in rungs for accuracy in rung.accuracies]
    axes.set_xlim(max(0.0, min(values) - 5), min(100.0, max(values) + 3))
    axes.set(xlabel="validation accuracy (%)")
    axes.grid(alpha=0.3, axis="x")
    figure.suptitle(dataset_title([trial for rung in rungs for trial in rung.trials]))
    return figure


def plot_speed(comparisons: Sequence[Comparison]) -> Figure:
    """How many times as fast the library was, a bar an experiment, with the least and the most."""
    figure = Figure(figsize=(7, 1.4 + 0.5 * len(comparisons)), layout="constrained")
    axes = figure.subplots()
    middles = [median(one.ratios) for one in comparisons]
    spread = [
        [middle - min(one.ratios) for middle, one in zip(middles, comparisons, strict=True)],
        [max(one.ratios) - middle for middle, one in zip(middles, comparisons, strict=True)],
    ]
    names = [f"{one.title}\n({one.dataset})" for one in comparisons]
    axes.barh(names, middles, xerr=spread, height=0.6, capsize=3)
    for place, (middle, one) in enumerate(zip(middles, comparisons, strict=True)):
        axes.text(max(one.ratios), place, f"  {middle:.1f} x", va="center", size=9)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="times as fast as the plain way (images per second)")
    return figure
