"""Plots that compare many runs, experiments or variants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from cifar_lab.experiments.published import Published, pareto_front
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial
from cifar_lab.reporting.plots.common import PERCENT, dataset_title


def plot_accuracy_against_parameters(results: Sequence[Result]) -> Figure:
    """Plot test accuracy against the parameters (log scale): up and to the left is better."""
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


def plot_frontier(figures: Sequence[Published], highlight: str = "") -> Figure:
    """Plot accuracy against parameters and training cost, with each dataset's Pareto front.

    The front joins the experiments that no other beats at the same cost or less. A bar is the
    standard deviation between seeds, where there are several.

    Args:
        figures: Figures of experiments.
        highlight: Name of the experiment that gets a large star.
    """
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    datasets = list(dict.fromkeys(one.dataset for one in figures))
    for axes, cost, name in (
        (left, "parameters", "parameters (log scale)"),
        (right, "training_flops", "FLOPs of the whole training (log scale)"),
    ):
        for dataset in datasets:
            points = [
                (getattr(one, cost), one.accuracy) for one in figures if one.dataset == dataset
            ]
            front = np.array([points[number] for number in pareto_front(points)])
            axes.plot(front[:, 0], front[:, 1], color="lightgrey", zorder=1)
        for number, one in enumerate(figures):
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
    figure.suptitle(dataset_title(figures))
    return figure


def plot_variants(trials: Sequence[Trial]) -> Figure:
    """Plot each variant's validation accuracy: a bar for the mean and a dot for each seed."""
    figure = Figure(figsize=(9, 1.0 + 0.36 * len(trials)), layout="constrained")
    axes = figure.subplots()
    places = range(len(trials))
    axes.barh(places, [trial.accuracy for trial in trials], height=0.6, color="lightsteelblue")
    for place, trial in enumerate(trials):
        axes.plot(trial.accuracies, [place] * len(trial.accuracies), "k.", markersize=5)
    axes.set_yticks(places, [trial.title for trial in trials])
    values = [accuracy for trial in trials for accuracy in trial.accuracies]
    axes.set_xlim(max(0.0, min(values) - 5), min(100.0, max(values) + 3))
    axes.set(xlabel="validation accuracy (%)")
    axes.grid(alpha=0.3, axis="x")
    figure.suptitle(dataset_title(trials))
    return figure
