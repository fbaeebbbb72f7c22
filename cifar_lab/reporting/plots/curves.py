"""Line plots: learning rate, learning curves, accuracy against cost or a shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cifar_lab.experiments.results import Result
from cifar_lab.reporting.picture import SMALLEST_TEXT, Picture
from cifar_lab.reporting.plots.common import (
    PERCENT,
    Curve,
    and_so_on,
    as_list,
    curves_in,
    dataset_title,
)
from cifar_lab.reporting.plots.labels import label_line_ends
from cifar_lab.reporting.plots.style import COLORS, GRID, NEUTRAL, line_of, log_ticks, style_of
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at

MANY_EPOCHS = 15  # from here on a curve has no mark at each epoch, and the axes leave out its start
STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 14,
    "markeredgecolor": "white",
    "linestyle": "none",
}


def plot_learning_rate(recipe: Recipe, steps_per_epoch: int) -> Picture:
    """Plot the learning rate at each step of a run."""
    figure = Picture(6.5, 3)
    axes = figure.subplots()
    positions = [step / steps_per_epoch for step in range(recipe.epochs * steps_per_epoch)]
    rates = [learning_rate_at(recipe, position) for position in positions]
    axes.plot(positions, rates, color=COLORS[0])
    axes.set(xlabel="epochs done", ylabel="learning rate", ylim=(0, None))
    axes.grid(**GRID)
    figure.alt = (
        f"The learning rate over {recipe.epochs} epochs: from {rates[0]:.3g} to at most "
        f"{max(rates):.3g}, and {rates[-1]:.3g} at the end."
    )
    return figure


def plot_learning_curves(runs: Any) -> Picture:
    """Plot loss and accuracy by epoch, one colour per network.

    Validation loss is dashed, in the colour of the training loss. The accuracy is that of the
    validation images where there are some, with a star at the best epoch, else of the test images.
    A vertical line tells where mixing ends (`Recipe.unmixed_epochs`). Long runs are shown without
    the extreme values of their first epochs.

    Args:
        runs: The history that `fit` returned, a `Result`, a `Trial`, or a list or dict of these. A
            dict's keys are the titles of histories.

    Raises:
        TypeError: There is something else among the runs.
        ValueError: There is no run, or one without epochs.
    """
    return draw_curves(curves_in(runs))


def draw_curves(curves: Sequence[Curve], epochs: int | None = None) -> Picture:
    """Draw learning curves.

    Args:
        curves: The curves.
        epochs: The number of epochs that the axes have room for; None for those of the curves.
    """
    # Without validation and test images there is a loss and nothing else.
    panels = 1 + any(np.isfinite(curve.accuracies).any() for curve in curves)
    figure = Picture(4.7 * panels, 3.9, layout=ConstrainedLayoutEngine(wspace=0.06))
    loss_axes, *others = figure.subplots(1, panels, squeeze=False)[0]
    titles = [curve.title for curve in curves]
    for curve in curves:
        _draw_losses(loss_axes, curve, titles)
        for accuracy_axes in others:
            _draw_accuracies(accuracy_axes, curve, titles)
    has_validation_loss = any(
        record.validation_loss for curve in curves for record in curve.history
    )
    kinds = sorted({curve.kind for curve in curves})
    loss_axes.set(ylabel="loss (cross-entropy)" if has_validation_loss else "training loss")
    for accuracy_axes in others:
        accuracy_axes.set(ylabel=f"{kinds[0]} accuracy (%)" if len(kinds) == 1 else "accuracy (%)")
    most = epochs or max(len(curve.history) for curve in curves)
    for axes in (loss_axes, *others):
        low_is_good = axes is loss_axes
        axes.set(xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.grid(**GRID)
        axes.set_xlim(1 - 0.03 * most, most * 1.03) if most > 1 else axes.set_xlim(0.5, 1.5)
        if most >= MANY_EPOCHS:
            _leave_out_the_start(axes, low_is_good)
        _mark_end_of_mixing(axes, curves, low_is_good)
    handles = [_legend_line(curve, titles, several_kinds=len(kinds) > 1) for curve in curves]
    figure.legend(
        handles=[*handles, *_legend_of_marks(curves, has_validation_loss)],
        loc="outside lower center", ncols=4, fontsize=SMALLEST_TEXT, frameon=False,
    )  # fmt: skip
    figure.suptitle(dataset_title(curves))
    figure.alt = "Learning curves. " + and_so_on([_told(curve) for curve in curves]) + "."
    return figure


def _draw_losses(axes: Axes, curve: Curve, titles: Sequence[str]) -> None:
    looks = _looks(curve, titles)
    losses = [record.train_loss for record in curve.history]
    axes.plot(curve.epochs, losses, **looks)
    validation = np.array([record.validation_loss for record in curve.history], dtype=float)
    if not np.isnan(validation).all():
        axes.plot(curve.epochs, validation, **{**looks, "linestyle": "dashed"})


def _draw_accuracies(axes: Axes, curve: Curve, titles: Sequence[str]) -> None:
    axes.plot(curve.epochs, curve.accuracies, **_looks(curve, titles))
    best = curve.best
    if best is not None and best.validation_accuracy is not None:
        color = style_of(curve.title).color
        axes.plot(best.epoch, best.validation_accuracy, color=color, zorder=3, **STAR)


def _looks(curve: Curve, titles: Sequence[str]) -> dict[str, Any]:
    """Return the look of a curve's line: with a mark at each epoch where these are few."""
    marker = style_of(curve.title).marker if len(curve.history) < MANY_EPOCHS else None
    return {**line_of(curve.title, titles), "marker": marker, "markersize": 4}


def _leave_out_the_start(axes: Axes, low_is_good: bool) -> None:
    """Set the limits so that the first tenth of the epochs may lie outside, and all else in."""
    later: list[float] = []
    for line in axes.lines:
        values = np.asarray(line.get_ydata(), dtype=float)
        later += values[len(values) // 10 :][np.isfinite(values[len(values) // 10 :])].tolist()
    if not later or min(later) == max(later):
        return
    low, high = min(later), max(later)
    margin = 0.06 * (high - low)
    inside = axes.get_ylim()
    if low_is_good:
        axes.set_ylim(low - margin, min(high + margin, inside[1]))
    else:
        axes.set_ylim(max(low - margin, inside[0]), high + margin)


def _mark_end_of_mixing(axes: Axes, curves: Sequence[Curve], low_is_good: bool) -> None:
    """Draw a line where mixing ends, with its text in the corner that curves leave free."""
    places = sorted({curve.mixing_ends for curve in curves if curve.mixing_ends is not None})
    for place in places:
        axes.axvline(place, color=NEUTRAL, linestyle=(0, (1, 2)), linewidth=1.2)
        height, edge = (1, "top") if low_is_good else (0, "bottom")
        axes.annotate(
            "mixing ends", (place, height), xycoords=("data", "axes fraction"),
            xytext=(-3, -4 if low_is_good else 4), textcoords="offset points", ha="right",
            va=edge, rotation=90, color=NEUTRAL, size=SMALLEST_TEXT,
        )  # fmt: skip


def _legend_line(curve: Curve, titles: Sequence[str], several_kinds: bool) -> Line2D:
    label = f"{curve.label} ({curve.kind})" if several_kinds else curve.label
    looks = {**_looks(curve, titles), "markersize": 5}
    return Line2D([], [], label=label, **looks)


def _legend_of_marks(curves: Sequence[Curve], has_validation_loss: bool) -> list[Line2D]:
    marks = []
    if has_validation_loss:
        marks += [
            Line2D([], [], color=NEUTRAL, label="training loss"),
            Line2D([], [], color=NEUTRAL, linestyle="dashed", label="validation loss"),
        ]
    if any(curve.best for curve in curves):
        marks.append(Line2D([], [], color=NEUTRAL, label="best epoch by validation", **STAR))
    return marks


def _told(curve: Curve) -> str:
    """Return a curve in words, for the alternative text."""
    first, last = curve.history[0], curve.history[-1]
    words = f"{curve.label}: training loss {first.train_loss:.2f} after epoch {first.epoch}"
    if last is not first:
        words += f", {last.train_loss:.2f} after epoch {last.epoch}"
    if last.validation_loss is not None:
        words += f", validation loss {last.validation_loss:.2f}"
    if np.isfinite(curve.accuracies[-1]):
        words += f"; {curve.kind} accuracy {curve.accuracies[-1]:.2f} %"
    if curve.best is not None:
        words += f" (best: {curve.best.validation_accuracy:.2f} % after epoch {curve.best.epoch})"
    return words


def plot_accuracy_against_cost(results: Result | Sequence[Result]) -> Picture:
    """Plot accuracy against the operations done so far (log scale), one line per result.

    Networks of different sizes are compared by the cost of their training, not by epochs. The
    accuracy is that of the validation images where there are some.

    Raises:
        ValueError: A result was saved before the cost of training was counted.
    """
    results = as_list(results)
    uncounted = [result.title for result in results if not result.training_flops]
    if uncounted:
        raise ValueError(
            f"The run of {uncounted[0]} was made before its cost was counted. Run it again."
        )
    figure = Picture(8.5, 4.4)
    axes = figure.subplots()
    curves = curves_in(results)
    kinds = sorted({curve.kind for curve in curves})
    titles = [curve.title for curve in curves]
    for result, curve in zip(results, curves, strict=True):
        tera = np.array(result.flops_by_epoch) / 1e12
        axes.plot(tera, curve.accuracies, **_looks(curve, titles))
    axes.margins(x=0.04)
    log_ticks(axes)
    axes.set(
        xlabel="training so far (TFLOPs, log scale)",
        ylabel=f"{kinds[0]} accuracy (%)" if len(kinds) == 1 else "accuracy (%)",
        title=dataset_title(results),
    )
    axes.grid(which="major", **GRID)
    handles = [_legend_line(curve, titles, several_kinds=len(kinds) > 1) for curve in curves]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=4, fontsize=SMALLEST_TEXT, frameon=False
    )
    told = [
        f"{curve.label}: {curve.accuracies[-1]:.2f} % after {result.training_flops / 1e12:.3g} "
        "TFLOPs"
        for curve, result in zip(curves, results, strict=True)
    ]
    figure.alt = "Accuracy against the operations of the training. " + and_so_on(told) + "."
    return figure


def plot_shift(shifts: Sequence[int], accuracies: Mapping[str, Sequence[float]]) -> Picture:
    """Plot accuracy (percent) against a shift of the images in pixels, one line per network."""
    figure = Picture(7.5, 4.2)
    axes = figure.subplots()
    for title, values in accuracies.items():
        looks = line_of(title, accuracies)
        axes.plot(shifts, values, marker=style_of(title).marker, markersize=5, **looks)
    axes.set(xlabel="images shifted to the right by (pixels)", ylabel=PERCENT)
    axes.grid(**GRID)
    ends = [(float(shifts[-1]), float(values[-1])) for values in accuracies.values()]
    label_line_ends(axes, ends, list(accuracies), [style_of(title).color for title in accuracies])
    told = [
        f"{title}: {values[0]:.2f} % with a shift of {shifts[0]}, {values[-1]:.2f} % with "
        f"{shifts[-1]}"
        for title, values in accuracies.items()
    ]
    figure.alt = "Test accuracy against a shift of the images. " + and_so_on(told) + "."
    return figure
