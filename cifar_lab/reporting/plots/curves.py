"""Line plots: learning rate, learning curves, accuracy against cost or a shift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cifar_lab.experiments.results import Result
from cifar_lab.reporting.plots.common import PERCENT, Curve, dataset_title
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at


def plot_learning_rate(recipe: Recipe, steps_per_epoch: int) -> Figure:
    """Plot the learning rate at each step of a run."""
    figure = Figure(figsize=(6.5, 3), layout="constrained")
    axes = figure.subplots()
    positions = [step / steps_per_epoch for step in range(recipe.epochs * steps_per_epoch)]
    axes.plot(positions, [learning_rate_at(recipe, position) for position in positions])
    axes.set(xlabel="epochs done", ylabel="learning rate", ylim=(0, None))
    axes.grid(alpha=0.3)
    return figure


def plot_learning_curves(results: Sequence[Curve]) -> Figure:
    """Plot training loss and accuracy by epoch, one line per result.

    The accuracy is that of the validation images where there are some, else of the test images.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for result in results:
        epochs = [record.epoch for record in result.history]
        losses = [record.train_loss for record in result.history]
        label, accuracies = _accuracies(result)
        loss_axes.plot(epochs, losses, marker="o", label=result.title)
        accuracy_axes.plot(epochs, accuracies, marker="o", label=label)
    loss_axes.set(xlabel="epoch", ylabel="training loss (cross-entropy)")
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy (%)")
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    accuracy_axes.legend(fontsize=8)
    figure.suptitle(dataset_title(results))
    return figure


def plot_accuracy_against_cost(results: Sequence[Result]) -> Figure:
    """Plot accuracy against the operations done so far (log scale), one line per result.

    Networks of different sizes are compared by the cost of their training, not by epochs. The
    accuracy is that of the validation images where there are some.

    Raises:
        ValueError: A result was saved before the cost of training was counted.
    """
    uncounted = [result.title for result in results if not result.training_flops]
    if uncounted:
        raise ValueError(
            f"The run of {uncounted[0]} was made before its cost was counted. Run it again."
        )
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    for result in results:
        label, accuracies = _accuracies(result)
        axes.plot(result.flops_by_epoch, accuracies, marker=".", label=label)
    axes.set_xscale("log")
    axes.set(xlabel="FLOPs of the training so far (log scale)", ylabel="accuracy (%)")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.suptitle(dataset_title(results))
    return figure


def _accuracies(curve: Curve) -> tuple[str, np.ndarray]:
    """Return the legend's label, and the accuracy after each epoch (NaN if not measured)."""
    validated = curve.history[0].validation_accuracy is not None
    accuracies = [
        record.validation_accuracy if validated else record.test_accuracy
        for record in curve.history
    ]
    label = f"{curve.title} (validation)" if validated else curve.title
    return label, np.array(accuracies, dtype=float)


def plot_shift(shifts: Sequence[int], accuracies: dict[str, list[float]]) -> Figure:
    """Plot accuracy (percent) against a shift of the images in pixels, one line per network."""
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for title, values in accuracies.items():
        axes.plot(shifts, values, marker="o", label=title)
    axes.set(xlabel="images shifted to the right by (pixels)", ylabel=PERCENT)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
