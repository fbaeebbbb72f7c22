"""Plots of images, and of weights that look at images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from cifar_lab.data.augment import as_transform
from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.reporting.picture import SMALLEST_TEXT, Picture
from cifar_lab.reporting.plots.common import and_so_on
from cifar_lab.reporting.plots.style import BAD, GOOD, NEUTRAL, plain_name
from cifar_lab.utils.wording import counted

CELL = 0.62  # inches of a small picture
GAP = 0.25  # inches between groups
CHARACTER = 0.077  # inches of a character of the smallest text, about
LONG_NAME = 14  # letters of a class from which on predictions need wider pictures


def plot_images(
    image_set: ImageSet,
    per_class: int = 8,
    max_classes: int = 20,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> Picture:
    """Plot the first images of classes, one row per class.

    Args:
        image_set: The images.
        per_class: The number of images of a class.
        max_classes: The number of classes.
        groups: Maps the title of each group, such as a superclass, to the names of its classes,
            which then stand together. None for the classes in their order.
    """
    rows = list(_rows(image_set, groups))[:max_classes]
    titles = list(dict.fromkeys(group for group, _ in rows))
    names = [plain_name(image_set.class_names[label]) for _, label in rows]
    left = 0.15 + CHARACTER * max(map(len, names)) + (0.4 if groups else 0)
    width = left + per_class * CELL
    height = len(rows) * CELL + (len(titles) - 1) * GAP
    figure = Picture(width, height, layout=None)
    tops: dict[str, float] = {}
    top = height
    for place, (group, label) in enumerate(rows):
        if place and group != rows[place - 1][0]:
            top -= GAP
        tops.setdefault(group, top)
        top -= CELL
        indices = torch.nonzero(image_set.labels == label).flatten()[:per_class]
        for column in range(per_class):
            axes = _cell(figure, left + column * CELL, top)
            if column < len(indices):
                axes.imshow(_pixels(image_set.images[indices[column]]))
            if column == 0:
                axes.text(
                    -0.12, 0.5, names[place], transform=axes.transAxes, ha="right", va="center"
                )
        if place + 1 == len(rows) or rows[place + 1][0] != group:
            _mark_group(figure, group, tops[group], top)
    figure.alt = f"The first {counted(per_class, 'image')} of each of the classes " + and_so_on(
        names, most=30
    )
    return figure


def _rows(
    image_set: ImageSet, groups: Mapping[str, Sequence[str]] | None
) -> Iterator[tuple[str, int]]:
    """Yield the group and the class of each row."""
    if groups is None:
        yield from (("", label) for label in range(len(image_set.class_names)))
        return
    numbers = {name: label for label, name in enumerate(image_set.class_names)}
    for title, names in groups.items():
        for name in names:
            if name not in numbers:
                raise ValueError(
                    f"The group {title!r} has the class {name!r}, which these images don't have; "
                    f"expected some of {', '.join(image_set.class_names)}."
                )
            yield title, numbers[name]


def _cell(figure: Picture, left: float, bottom: float, size: float = CELL) -> Axes:
    """Add the axes of a small picture; the numbers are in inches."""
    width, height = figure.get_size_inches()
    inner = 0.95 * size
    axes = figure.add_axes((left / width, bottom / height, inner / width, inner / height))
    axes.axis("off")
    return axes


def _mark_group(figure: Picture, title: str, top: float, bottom: float) -> None:
    """Write a group's title upright, with a line along its rows; the heights are in inches."""
    if not title:
        return
    _, height = figure.get_size_inches()
    width = figure.get_figwidth()
    low, high = (bottom + 0.04) / height, (top - 0.06) / height
    place = 0.3 / width
    figure.add_artist(Line2D([place, place], [low, high], color=NEUTRAL, linewidth=1.5))
    figure.text(
        0.14 / width, (low + high) / 2, title, rotation=90, ha="center", va="center",
        weight="bold", size=SMALLEST_TEXT + 1,
    )  # fmt: skip


def plot_augmented(
    images: Tensor, transforms: Mapping[str, Any], *, seed: int = 0, draws: int = 4
) -> Picture:
    """Plot images as they are, followed by several draws of each transform.

    Args:
        images: Images, uint8, (N, 3, H, W); each gets a row.
        transforms: Transforms by the title of their columns: the library's, or functions of one
            image (C, H, W) in [0, 1], such as torchvision's.
        seed: Seeds the draws.
        draws: Number of columns for each transform.
    """
    pixels = to_unit_interval(images).cpu()
    generator = torch.Generator().manual_seed(seed)
    groups = [("as it is", [pixels])]
    for title, transform in transforms.items():
        applied = as_transform(transform)
        groups.append((title, [applied(pixels, generator) for _ in range(draws)]))
    # A title that is wider than its columns gets more room, not a smaller text.
    widths = [
        max(len(columns) * CELL, CHARACTER * 1.05 * len(title)) + GAP for title, columns in groups
    ]
    height = len(images) * CELL
    figure = Picture(sum(widths), height + 0.35, layout=None)
    left = 0.0
    for (title, columns), width in zip(groups, widths, strict=True):
        for number, changed in enumerate(columns):
            for row, image in enumerate(changed):
                axes = _cell(figure, left + number * CELL, height - (row + 1) * CELL)
                axes.imshow(image.permute(1, 2, 0).numpy())
                if row == 0 and number == 0:
                    axes.set_title(title, size=SMALLEST_TEXT + 1, loc="left", pad=5)
        left += width
    figure.alt = f"{counted(len(images), 'image')} as they are, and {draws} draws of each of: " + (
        and_so_on(list(transforms))
    )
    return figure


def plot_predictions(
    image_set: ImageSet, logits: Tensor, indices: Sequence[int], columns: int = 6
) -> Picture:
    """Plot images with their true class, and the model's three most likely classes.

    The most likely class has a tick where it is right and a cross where it is wrong, and the frame
    is green or red.

    Args:
        image_set: The images.
        logits: The model's answers, (len(image_set), num_classes).
        indices: Positions of the images to show.
        columns: Number of pictures in a row.

    Raises:
        ValueError: No indices.
    """
    indices = [int(index) for index in indices]
    if not indices:
        raise ValueError("There are no images to show; give at least one index.")
    rows = -(-len(indices) // columns)
    width = 2.0 if max(map(len, image_set.class_names)) > LONG_NAME else 1.6
    figure = Picture(width * min(columns, len(indices)), 2.3 * rows)
    grid = figure.subplots(rows, min(columns, len(indices)), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    told = []
    for axes, index in zip(grid.flat, indices, strict=False):
        lines, is_right = _answer(image_set, logits, index)
        axes.axis("on")
        axes.set(xticks=[], yticks=[])
        axes.imshow(_pixels(image_set.images[index]))
        color = GOOD if is_right else BAD
        for spine in axes.spines.values():
            spine.set(color=color, linewidth=3)
        axes.set_title("\n".join(lines), size=SMALLEST_TEXT)
        told.append(", ".join(lines))
    figure.alt = "Images with their true class and the most likely ones. " + and_so_on(told)
    return figure


def _answer(image_set: ImageSet, logits: Tensor, index: int) -> tuple[list[str], bool]:
    """Return the lines above an image, and whether the most likely class is the true one."""
    names = [plain_name(name) for name in image_set.class_names]
    true = int(image_set.labels[index])
    chances, classes = logits[index].softmax(dim=0).topk(min(3, len(names)))
    is_right = int(classes[0]) == true
    guesses = [
        f"{names[int(label)]} {100 * float(chance):.0f} %"
        for chance, label in zip(chances, classes, strict=True)
    ]
    guesses[0] = f"{'✓' if is_right else '✗'} {guesses[0]}"
    return [f"true: {names[true]}", *guesses], is_right


def plot_weights(weights: Tensor, columns: int = 10) -> Picture:
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
    figure = Picture(columns * 0.9, rows * 0.9)
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, weight in zip(figure.axes, weights.detach().float().cpu(), strict=False):
        low, high = weight.min(), weight.max()
        axes.imshow(((weight - low) / (high - low).clamp(min=1e-12)).permute(1, 2, 0).numpy())
    height, width = weights.shape[2:]
    figure.alt = f"{len(weights)} sets of {height}x{width} weights as pictures in colour."
    return figure


def _pixels(image: Tensor) -> np.ndarray:
    """Return an image (3, H, W) as matplotlib wants it, (H, W, 3)."""
    return image.permute(1, 2, 0).cpu().numpy()
