"""Plots of images, and of weights that look at images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from cifar_lab.data.augment.common import Transform
from cifar_lab.data.image_set import ImageSet, to_unit_interval


def plot_images(image_set: ImageSet, per_class: int = 8, max_classes: int = 20) -> Figure:
    """Plot the first `per_class` images of the first `max_classes` classes, one row per class."""
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
    """Plot images as they are, followed by several draws of each transform.

    Args:
        images: Images, uint8, (N, 3, H, W); each gets a row.
        transforms: Transforms by the title of their columns.
        seed: Seeds the draws.
        draws: Number of columns for each transform.
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


def plot_predictions(image_set: ImageSet, logits: Tensor, indices: Sequence[int]) -> Figure:
    """Plot images with their true class, and the model's three most likely classes.

    Args:
        image_set: The images.
        logits: The model's answers, (len(image_set), num_classes).
        indices: Positions of the images to show.

    Raises:
        ValueError: No indices.
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


def plot_weights(weights: Tensor, columns: int = 10) -> Figure:
    """Plot weights that look at an RGB image, each as a small picture.

    Args:
        weights: Weights, (N, 3, H, W): a first convolution's filters, or rows of a first linear
            layer reshaped to the image. Each is scaled to the full range of brightness by itself.
        columns: Number of pictures in a row.

    Raises:
        ValueError: The weights have another number of channels than three.
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


def _pixels(image: Tensor) -> np.ndarray:
    """Return an image (3, H, W) as matplotlib wants it, (H, W, 3)."""
    return image.permute(1, 2, 0).cpu().numpy()
