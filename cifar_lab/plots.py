"""Pictures: images, learning curves, accuracy against size, confusion, filters.

Each function returns a matplotlib figure and shows nothing; a notebook shows what a cell returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from cifar_lab.data import ImageSet, Transform, to_unit_interval
from cifar_lab.ladder import Rung
from cifar_lab.measured import Measured, pareto_front
from cifar_lab.recipe import Recipe
from cifar_lab.results import Result
from cifar_lab.schedule import learning_rate_at
from cifar_lab.state import EpochRecord

if TYPE_CHECKING:
    from cifar_lab.bench.comparison import Comparison

PERCENT = "test accuracy (%)"


class Curve(Protocol):
    """What has a learning curve: a `Result`, or a `Trial` of an ablation."""

    @property
    def title(self) -> str:
        """What the legend calls it."""

    @property
    def dataset(self) -> str:
        """Where its figures come from."""

    @property
    def history(self) -> list[EpochRecord]:
        """One record an epoch."""


def plot_images(image_set: ImageSet, per_class: int = 8, max_classes: int = 20) -> Figure:
    """The first `per_class` images of each of the first `max_classes` classes, a row a class."""
    names = image_set.class_names[:max_classes]
    figure = Figure(figsize=(per_class * 0.75 + 1.6, len(names) * 0.75))
    grid = figure.subplots(len(names), per_class, squeeze=False)
    for label, row in enumerate(grid):
        indices = torch.nonzero(image_set.labels == label).flatten()[:per_class]
        for axes in row:
            axes.axis("off")
        for axes, index in zip(row, indices, strict=False):
            axes.imshow(_pixels(image_set.images[index]))
        row[0].text(-4, 16, names[label], ha="right", va="center")
    figure.subplots_adjust(left=0.2, right=1, top=1, bottom=0, wspace=0.05, hspace=0.05)
    return figure


def plot_augmented(
    images: Tensor, transforms: Mapping[str, Transform], *, seed: int = 0, draws: int = 4
) -> Figure:
    """Images as they are, and behind each what every transform makes of it, draw by draw.

    Args:
        images: uint8, (N, 3, H, W): a row each.
        transforms: by the title of their columns.
        seed: of the draws.
        draws: columns for each transform.
    """
    pixels = to_unit_interval(images).cpu()
    generator = torch.Generator().manual_seed(seed)
    columns = [("as it is", pixels)]
    for title, transform in transforms.items():
        columns += [
            (title if draw == 0 else "", transform(pixels, generator)) for draw in range(draws)
        ]
    figure = Figure(figsize=(0.75 * len(columns), 0.75 * len(images) + 0.4))
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (title, changed) in enumerate(columns):
        grid[0][column].set_title(title, size=8, loc="left")
        for row, image in enumerate(changed):
            grid[row][column].imshow(image.permute(1, 2, 0).numpy())
            grid[row][column].axis("off")
    figure.subplots_adjust(left=0, right=1, top=1 - 0.35 / figure.get_figheight(), bottom=0)
    figure.subplots_adjust(wspace=0.05, hspace=0.05)
    return figure


def plot_class_balance(sets: Mapping[str, ImageSet]) -> Figure:
    """How many images each class has, a panel a set."""
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    for axes, (title, images) in zip(
        figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True
    ):
        counts = images.labels.bincount(minlength=images.num_classes).cpu()
        axes.bar(range(len(counts)), counts.tolist(), width=1.0)
        axes.set(
            xlabel="class", ylabel="images", title=f"{title}: {counts.min()} to {counts.max()}"
        )
    return figure


def plot_learning_rate(recipe: Recipe, steps_per_epoch: int) -> Figure:
    """The learning rate at each step of a run."""
    figure = Figure(figsize=(6.5, 3), layout="constrained")
    axes = figure.subplots()
    positions = [step / steps_per_epoch for step in range(recipe.epochs * steps_per_epoch)]
    axes.plot(positions, [learning_rate_at(recipe, position) for position in positions])
    axes.set(xlabel="epochs done", ylabel="learning rate", ylim=(0, None))
    axes.grid(alpha=0.3)
    return figure


def plot_class_accuracies(confusion: Tensor, class_names: Sequence[str]) -> Figure:
    """Each class's accuracy in percent, the best first."""
    accuracies = 100 * confusion.diag().double() / confusion.sum(dim=1).clamp(min=1)
    order = accuracies.argsort(descending=True, stable=True).tolist()
    figure = Figure(figsize=(max(4.0, 0.15 * len(order)), 3.4), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(order)), accuracies[order].tolist())
    axes.set_xticks(range(len(order)), [class_names[label] for label in order])
    axes.tick_params(axis="x", labelrotation=90, labelsize=7)
    axes.set(ylabel="accuracy (%)", ylim=(0, 100), xlim=(-1, len(order)))
    axes.axhline(
        float(accuracies.mean()), color="black", linestyle=":", label="mean of the classes"
    )
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3, axis="y")
    return figure


def plot_predictions(image_set: ImageSet, logits: Tensor, indices: Sequence[int]) -> Figure:
    """Images with their true class, and the three likeliest classes by the model.

    Args:
        image_set: the images.
        logits: (len(image_set), num_classes).
        indices: which images to show.
    """
    if not indices:
        raise ValueError("There are no images to show; give at least one index.")
    figure = Figure(figsize=(2.1 * len(indices), 2.9), layout="constrained")
    names = image_set.class_names
    for axes, index in zip(
        figure.subplots(1, len(indices), squeeze=False)[0], indices, strict=True
    ):
        axes.imshow(_pixels(image_set.images[index]))
        axes.axis("off")
        chances, classes = logits[index].softmax(dim=0).topk(min(3, len(names)))
        guesses = [
            f"{names[int(label)]} {100 * float(chance):.0f} %"
            for chance, label in zip(chances, classes, strict=True)
        ]
        axes.set_title(
            "\n".join([f"true: {names[int(image_set.labels[index])]}", *guesses]), size=9
        )
    return figure


def plot_learning_curves(results: Sequence[Curve]) -> Figure:
    """Training loss and accuracy (validation's where there is one) by epoch, a line a result."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for result in results:
        epochs = [record.epoch for record in result.history]
        losses = [record.train_loss for record in result.history]
        validated = result.history[0].validation_accuracy is not None
        accuracies = [
            record.validation_accuracy if validated else record.test_accuracy
            for record in result.history
        ]
        loss_axes.plot(epochs, losses, marker="o", label=result.title)
        label = f"{result.title} (validation)" if validated else result.title
        accuracy_axes.plot(epochs, np.array(accuracies, dtype=float), marker="o", label=label)
    loss_axes.set(xlabel="epoch", ylabel="training loss (cross-entropy)")
    accuracy_axes.set(xlabel="epoch", ylabel="accuracy (%)")
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    accuracy_axes.legend(fontsize=8)
    figure.suptitle(_dataset_title(results))
    return figure


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
    axes.set(xlabel="parameters (log scale)", ylabel=PERCENT, title=_dataset_title(results))
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
    figure.suptitle(_dataset_title(measured))
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
    figure.suptitle(_dataset_title([trial for rung in rungs for trial in rung.trials]))
    return figure


def plot_confusion(confusion: Tensor, class_names: Sequence[str]) -> Figure:
    """A confusion matrix, each row in percent of its true class."""
    percent = (100 * confusion.double() / confusion.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=45, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted class", ylabel="true class")
    for true, row in enumerate(percent if len(class_names) <= 20 else []):
        for predicted, value in enumerate(row):
            color = "white" if value > 50 else "black"
            axes.text(
                predicted, true, f"{value:.0f}", ha="center", va="center", color=color, size=8
            )
    axes.set_title("percent of each true class")
    return figure


def plot_weights(weights: Tensor, columns: int = 10) -> Figure:
    """Weights that look at an RGB image, each as a small picture.

    Args:
        weights: (N, 3, H, W): a first convolution's filters, or rows of a first linear layer
            reshaped to the image. Each is scaled to the full range of brightness by itself.
        columns: pictures in a row.

    Raises:
        ValueError: the weights don't look at three channels.
    """
    if weights.ndim != 4 or weights.shape[1] != 3:
        raise ValueError(f"weights have shape {tuple(weights.shape)}; expected (N, 3, H, W).")
    rows = -(-len(weights) // columns)
    figure = Figure(figsize=(columns * 0.9, rows * 0.9), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, weight in zip(figure.axes, weights.detach().float().cpu(), strict=False):
        low, high = weight.min(), weight.max()
        axes.imshow(((weight - low) / (high - low).clamp(min=1e-12)).permute(1, 2, 0).numpy())
    return figure


def plot_shift(shifts: Sequence[int], accuracies: dict[str, list[float]]) -> Figure:
    """Accuracy (percent) against a shift of the images in pixels, a line a network."""
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for title, values in accuracies.items():
        axes.plot(shifts, values, marker="o", label=title)
    axes.set(xlabel="images shifted to the right by (pixels)", ylabel=PERCENT)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
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


def _pixels(image: Tensor) -> np.ndarray:
    """uint8 (3, H, W) -> what matplotlib shows, (H, W, 3)."""
    return image.permute(1, 2, 0).cpu().numpy()


def _dataset_title(results: Sequence[Curve | Measured]) -> str:
    datasets = {result.dataset for result in results}
    return "SYNTHETIC stand-in, not CIFAR" if "synthetic" in datasets else ""
