"""Plots that compare many runs, experiments or variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.published import Published, pareto_front
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Gain, Trial, gains
from cifar_lab.reporting.picture import SMALLEST_TEXT, Picture
from cifar_lab.reporting.plots.common import PERCENT, and_so_on, as_list, dataset_title
from cifar_lab.reporting.plots.labels import label_points
from cifar_lab.reporting.plots.style import BAD, GOOD, GRID, NEUTRAL, log_ticks, style_of
from cifar_lab.utils.statistics import standard_error

PARAMETERS = "parameters (log scale)"


def plot_accuracy_against_parameters(results: Sequence[Result]) -> Picture:
    """Plot test accuracy against the parameters (log scale): up and to the left is better."""
    results = as_list(results)
    figure = Picture(8, 4.6)
    axes = figure.subplots()
    titles: dict[tuple[float, float], list[str]] = {}
    for result in results:
        titles.setdefault((result.parameters, result.test_accuracy), []).append(result.title)
    for point, names in titles.items():
        style = style_of(names[0])
        axes.scatter(*point, s=60, color=style.color, marker=style.marker)
    axes.set(xscale="log")
    axes.margins(x=0.18, y=0.15)
    log_ticks(axes)
    axes.set(xlabel=PARAMETERS, ylabel=PERCENT, title=dataset_title(results))
    axes.grid(**GRID)
    figure.draw_without_rendering()  # lays the figure out
    label_points(axes, list(titles), [" = ".join(names) for names in titles.values()])
    told = [
        f"{each.title}: {each.test_accuracy:.2f} % with {each.parameters:,}" for each in results
    ]
    figure.alt = "Test accuracy against the number of parameters. " + and_so_on(told) + "."
    return figure


def plot_frontier(figures: Sequence[Published], highlight: str = "") -> Picture:
    """Plot accuracy against parameters and training cost, with each dataset's Pareto front.

    Each dataset has its own row. The front joins the experiments that no other beats at the same
    cost or less. A bar is the standard deviation between seeds, where there are several.

    Args:
        figures: Figures of experiments.
        highlight: Name of the experiment that gets a large star.
    """
    datasets = list(dict.fromkeys(one.dataset for one in figures))
    heights = [4.2 if sum(one.dataset == each for one in figures) > 3 else 2.8 for each in datasets]
    layout = ConstrainedLayoutEngine(hspace=0.08, wspace=0.06)
    figure = Picture(10.4, sum(heights), layout=layout)
    rows = figure.subplots(len(datasets), 2, squeeze=False, height_ratios=heights)
    for row, dataset in zip(rows, datasets, strict=True):
        ours = [one for one in figures if one.dataset == dataset]
        for axes, cost, unit, name in (
            (row[0], "parameters", 1, PARAMETERS),
            (row[1], "training_flops", 1e12, "whole training (TFLOPs, log scale)"),
        ):
            costs = [getattr(one, cost) / unit for one in ours]
            _draw_front(axes, costs, ours, highlight)
            axes.set(xlabel=name, title=dataset_title(ours) or _title(dataset))
        row[0].set(ylabel=PERCENT)
    figure.draw_without_rendering()  # all is in its place after it
    for axes in figure.axes:
        label_points(axes, *_points(axes))
    told = [
        f"{one.title} on {one.dataset}: {one.accuracy:.2f} % with {one.parameters:,} parameters"
        for one in figures
    ]
    figure.alt = "Accuracy against parameters and against training cost. " + and_so_on(told) + "."
    return figure


def _title(dataset: str) -> str:
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def _draw_front(
    axes: Axes, costs: Sequence[float], figures: Sequence[Published], highlight: str
) -> None:
    points = [(cost, one.accuracy) for cost, one in zip(costs, figures, strict=True)]
    front = np.array([points[number] for number in pareto_front(points)])
    axes.plot(front[:, 0], front[:, 1], color="lightgrey", linewidth=2, zorder=1)
    for point, one in zip(points, figures, strict=True):
        style = style_of(one.title)
        is_highlight = one.experiment == highlight
        axes.errorbar(
            *point,
            one.spread or None,
            fmt="*" if is_highlight else style.marker,
            markersize=14 if is_highlight else 7,
            color=style.color,
            capsize=3,
            label=one.title,
        )
    axes.set(xscale="log")
    axes.margins(x=0.15, y=0.12)
    if len(points) == 1:  # one point has no range of its own
        axes.set(xlim=(costs[0] / 3, costs[0] * 3), ylim=(points[0][1] - 5, points[0][1] + 5))
    log_ticks(axes)
    axes.grid(**GRID)


def _points(axes: Axes) -> tuple[list[tuple[float, float]], list[str]]:
    """Return the points that the error bars were drawn around, and their titles."""
    bars: Any = axes.containers
    lines = [bar.lines[0] for bar in bars]
    places = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]
    return places, [str(bar.get_label()) for bar in bars]


def plot_variants(
    trials: Sequence[Trial], against: Trial | None = None, spread: float | None = None
) -> Picture:
    """Plot each variant's validation accuracy, from top to bottom, and its gain on the right.

    A large dot is the mean over the seeds, and a small one a single seed. The bar is the standard
    deviation between seeds, or for a single seed the standard error from the number of images: as
    in `variants_table`, which has the same arguments.

    Args:
        trials: Trials in the order in which they are compared.
        against: The trial that all are compared with; None for the one before each.
        spread: Standard deviation between seeds; None for that of these trials together.

    Raises:
        ValueError: No trials.
    """
    if not trials:
        raise ValueError("There are no trials to plot; compare_variants returns them.")
    figure = Picture(9.2, 1.2 + 0.36 * len(trials))
    axes = figure.subplots()
    for place, trial in enumerate(trials):
        several = len(trial.histories) > 1
        error = trial.spread or standard_error(trial.accuracy, trial.validation_images)
        if several:
            heights = [place + 0.24] * len(
                trial.accuracies
            )  # below, where the bar leaves them free
            axes.plot(trial.accuracies, heights, ".", color="0.5")
        axes.errorbar(
            trial.accuracy, place, xerr=error, fmt="o", color="black", markersize=6, capsize=3
        )
    by_title = {gain.trial.title: gain for gain in gains(trials, against, spread)}
    axes.set_yticks(range(len(trials)), [trial.title for trial in trials])
    axes.set_ylim(len(trials) - 0.5, -0.5)  # the first on top, as in the table
    if against is not None:
        axes.axvline(against.accuracy, color="0.6", linewidth=1, zorder=0)
    for place, trial in enumerate(trials):
        if trial.title in by_title:
            _write_gain(axes, place, by_title[trial.title])
    heading = "gain over the one before" if against is None else f"gain over {against.title}"
    axes.annotate(
        heading, (1, 1), xycoords="axes fraction", xytext=(8, 6), textcoords="offset points",
        size=SMALLEST_TEXT, ha="left", va="bottom", annotation_clip=False,
    )  # fmt: skip
    axes.set(xlabel="validation accuracy (%)")
    axes.grid(axis="x", **GRID)
    figure.suptitle(dataset_title(trials))
    told = [_told(trial, by_title.get(trial.title)) for trial in trials]
    figure.alt = "Validation accuracy of each variant. " + and_so_on(told, most=30) + "."
    return figure


def _write_gain(axes: Axes, place: int, gain: Gain) -> None:
    verdict = gain.verdict
    color = GOOD if verdict.startswith("helps") else BAD if verdict.startswith("harms") else NEUTRAL
    axes.annotate(
        f"{gain.points:+.2f}  {verdict}", (1, place), xycoords=("axes fraction", "data"),
        xytext=(8, 0), textcoords="offset points", va="center", color=color, size=SMALLEST_TEXT + 1,
        annotation_clip=False,
    )  # fmt: skip


def _told(trial: Trial, gain: Gain | None) -> str:
    words = f"{trial.title}: {trial.accuracy:.2f} %"
    return words if gain is None else f"{words} ({gain.points:+.2f}, {gain.verdict})"
