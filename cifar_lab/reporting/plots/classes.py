"""Plots of the classes: their numbers of images, their accuracies, their confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from cifar_lab.data.image_set import ImageSet
from cifar_lab.reporting.picture import SMALLEST_TEXT, Picture
from cifar_lab.reporting.plots.common import and_so_on
from cifar_lab.reporting.plots.style import BAD, COLORS, GOOD, GRID, plain_name
from cifar_lab.utils.wording import counted

MOST_NAMES = 25  # along an axis of a confusion matrix
MOST_CELLS = 20  # classes of a confusion matrix with a number in each cell


def plot_class_balance(sets: Mapping[str, ImageSet]) -> Picture:
    """Plot how many images each class has, with one panel per image set."""
    figure = Picture(9.2, 2.8)
    told = []
    for axes, (title, images) in zip(
        figure.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True
    ):
        counts = images.labels.bincount(minlength=images.num_classes).cpu()
        low, high = int(counts.min()), int(counts.max())
        number = counted(high, "image") if low == high else f"{low:,} to {high:,} images"
        axes.bar(range(len(counts)), counts.tolist(), width=1.0, color=COLORS[0])
        axes.set(xlabel="class", ylabel="images", title=f"{title}: {number} of each class")
        told.append(f"{title}: {number} of each class")
    figure.alt = "Images of each class. " + and_so_on(told) + "."
    return figure


def plot_class_accuracies(
    confusion: Tensor,
    class_names: Sequence[str],
    superclasses: Mapping[str, Sequence[str]] | None = None,
    show: int = 12,
) -> Picture:
    """Plot the accuracies of the best and the worst classes, in percent.

    Args:
        confusion: The confusion matrix, true classes in rows, as `confusion_matrix` returns it.
        class_names: Names of the classes.
        superclasses: Maps each superclass to the names of its classes; it is written beside them.
        show: The number of classes on either side. All are shown where there are no more than
            twice as many.
    """
    accuracies = 100 * confusion.diag().double() / confusion.sum(dim=1).clamp(min=1)
    order = accuracies.argsort(descending=True, stable=True).tolist()
    if len(order) <= 2 * show:
        panels = [("", order, COLORS[0])]
    else:
        panels = [
            (f"the best {show} of {len(order)} classes", order[:show], GOOD),
            (f"the worst {show}", order[-show:], BAD),
        ]
    inside = {name: group for group, names in (superclasses or {}).items() for name in names}
    rows = sum(len(panel) for _, panel, _ in panels)
    figure = Picture(8.4, 1.3 + 0.25 * rows + 0.5 * (len(panels) - 1))
    mean = float(accuracies.mean())
    for axes, (title, labels, color) in zip(
        figure.subplots(len(panels), 1, squeeze=False, sharex=True)[:, 0], panels, strict=True
    ):
        names = [class_names[label] for label in labels]
        values = accuracies[labels].tolist()
        axes.barh(range(len(labels)), values, height=0.7, color=color, alpha=0.75)
        texts = [
            f"{plain_name(name)} ({inside[name]})" if name in inside else plain_name(name)
            for name in names
        ]
        axes.set_yticks(range(len(labels)), texts)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        mean_label = f"mean of all classes: {mean:.1f} %"
        axes.axvline(mean, color="black", linestyle=":", label=mean_label)
        for place, value in enumerate(values):
            axes.annotate(
                f"{value:.0f}", (value, place), xytext=(3, 0), textcoords="offset points",
                va="center", size=SMALLEST_TEXT,
            )  # fmt: skip
        axes.set(xlim=(0, 106), xticks=range(0, 101, 20), title=title)
        axes.grid(axis="x", **GRID)
    figure.axes[-1].set_xlabel("accuracy (%)")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="outside lower center", fontsize=SMALLEST_TEXT, frameon=False,
    )  # fmt: skip
    told = [f"{plain_name(class_names[label])} {accuracies[label]:.0f} %" for label in order]
    if len(panels) > 1:
        told = [*told[:show], "...", *told[-show:]]
    figure.alt = f"Accuracy of classes, mean {mean:.1f} %. " + and_so_on(told, most=60) + "."
    return figure


def plot_confusion(
    confusion: Tensor, class_names: Sequence[str], *, by_similarity: bool = False
) -> Picture:
    """Plot a confusion matrix, each row in percent of its true class; zeros stay blank.

    Args:
        confusion: The confusion matrix, true classes in rows.
        class_names: Names of the classes.
        by_similarity: Whether to put classes that are often misclassified as each other side by
            side, in place of the order of the names.
    """
    percent = (100 * confusion.double() / confusion.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
    names = [plain_name(name) for name in class_names]
    if by_similarity:
        order = _by_similarity(percent)
        percent, names = percent[order][:, order], [names[number] for number in order]
    side = 6.2 if len(names) <= 10 else 8.6
    figure = Picture(side + 0.8, side)
    axes = figure.subplots()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    step = -(-len(names) // MOST_NAMES)
    ticks = range(0, len(names), step)
    axes.set_xticks(ticks, names[::step], rotation=90)
    axes.set_yticks(ticks, names[::step])
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(names) <= MOST_CELLS:
        _write_cells(axes, percent)
    else:
        axes.set_xlabel(f"predicted class (the name of every {step}th)")
    axes.set_title("percent of each true class")
    figure.alt = "Confusion matrix. " + _most_confused(percent, names)
    return figure


def _write_cells(axes: Axes, percent: np.ndarray) -> None:
    for true, row in enumerate(percent):
        for predicted, value in enumerate(row):
            if round(value):
                color = "white" if value > 50 else "black"
                axes.text(
                    predicted, true, f"{value:.0f}", ha="center", va="center", color=color,
                    size=SMALLEST_TEXT,
                )  # fmt: skip


def _most_confused(percent: np.ndarray, names: Sequence[str]) -> str:
    wrong = percent - np.diag(percent.diagonal())
    pairs = np.dstack(np.unravel_index(np.argsort(-wrong, axis=None)[:5], wrong.shape))[0]
    told = [
        f"{names[true]} as {names[predicted]}: {wrong[true, predicted]:.0f} %"
        for true, predicted in pairs
        if wrong[true, predicted] > 0
    ]
    return f"Most often misclassified: {and_so_on(told)}." if told else "No mistakes."


def _by_similarity(percent: np.ndarray) -> list[int]:
    """Return the classes in an order in which similar ones are neighbours.

    It is the order along the graph's second smallest Laplacian eigenvector (Fiedler's), where two
    classes are linked by how often each is misclassified as the other.
    """
    links = percent + percent.T
    np.fill_diagonal(links, 0)
    links += 1e-6  # so that the graph hangs together
    laplacian = np.diag(links.sum(axis=1)) - links
    _, vectors = np.linalg.eigh(laplacian)
    direction = vectors[:, 1]
    return np.argsort(direction * np.sign(direction[0] or 1), kind="stable")[::-1].tolist()
