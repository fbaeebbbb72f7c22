"""Plots of the classes: their numbers of images, their accuracies, their confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from cifar_lab.data.image_set import ImageSet


def plot_class_balance(sets: Mapping[str, ImageSet]) -> Figure:
    """Plot how many images each class has, with one panel per image set."""
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


def plot_class_accuracies(confusion: Tensor, class_names: Sequence[str]) -> Figure:
    """Plot each class's accuracy in percent, the best first."""
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


def plot_confusion(confusion: Tensor, class_names: Sequence[str]) -> Figure:
    """Plot a confusion matrix, each row in percent of its true class."""
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
