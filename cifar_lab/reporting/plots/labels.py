"""Texts beside points and lines, placed so that they don't cover each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from cifar_lab.reporting.picture import SMALLEST_TEXT

Point = tuple[float, float]
# Places of a label in points from its point, nearest first, with the text's alignment.
PLACES = [
    (dx, dy, "left" if dx > 0 else "right" if dx < 0 else "center", "center" if dx else edge)
    for distance in (9, 17, 27, 39)
    for dx, dy, edge in (
        (distance, 0, ""),
        (-distance, 0, ""),
        (0, distance, "bottom"),
        (0, -distance, "top"),
        (distance, distance, ""),
        (-distance, distance, ""),
        (distance, -distance, ""),
        (-distance, -distance, ""),
    )
]
NEAR = 13  # points from which on a line joins a label and its point
POINT_SIZE = 5  # points around a mark that a label leaves free


def label_points(axes: Axes, points: Sequence[Point], texts: Sequence[str]) -> None:
    """Write a text beside each point, where it covers no point, no other text and no edge.

    Call it when the figure is laid out: the place depends on the limits of the axes. A text that
    had to go some way off gets a thin line to its point.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)  # no plot here has figures inside figures
    pixels = figure.dpi / 72
    marks = axes.transData.transform(np.array(points, dtype=float))
    taken = [_around(mark, POINT_SIZE * pixels) for mark in marks]
    frame = axes.get_window_extent()
    for number in np.argsort(-marks[:, 1], kind="stable"):
        label = axes.annotate(
            texts[number], points[number], xytext=(0, 0), textcoords="offset points",
            size=SMALLEST_TEXT, annotation_clip=False,
        )  # fmt: skip
        label.set_in_layout(False)  # the layout is done: the label lies within it
        size = label.get_window_extent()
        others = [each for index, each in enumerate(taken) if index != number]
        free = [_box(marks[number], size, place, pixels) for place in PLACES]
        costs = [
            sum(_shared(box, each) for each in others) + 3 * _outside(box, frame) for box in free
        ]
        best = int(np.argmin(costs))  # the nearest of those that are equally free
        dx, dy, horizontal, vertical = PLACES[best]
        label.set(position=(dx, dy), ha=horizontal, va=vertical)
        taken.append(free[best])
        if np.hypot(dx, dy) > NEAR:
            axes.annotate(
                "", points[number], xytext=(dx, dy), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.7},
            )  # fmt: skip


def _box(mark: np.ndarray, size: Bbox, place: tuple[float, float, str, str], pixels: float) -> Bbox:
    """Return where a label of this size would lie, in pixels."""
    dx, dy, horizontal, vertical = place
    x, y = mark[0] + dx * pixels, mark[1] + dy * pixels
    left = {"left": x, "right": x - size.width, "center": x - size.width / 2}[horizontal]
    low = {"bottom": y, "top": y - size.height, "center": y - size.height / 2}[vertical]
    return Bbox.from_bounds(left, low, size.width, size.height)


def _around(center: np.ndarray, radius: float) -> Bbox:
    return Bbox([center - radius, center + radius])


def _shared(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return 0.0 if common is None else common.width * common.height


def _outside(box: Bbox, frame: Bbox) -> float:
    return box.width * box.height - _shared(box, frame)


def label_line_ends(
    axes: Axes, ends: Sequence[Point], texts: Sequence[str], colors: Sequence[str]
) -> None:
    """Write a text to the right of each line's end, moved up or down where two would overlap.

    Call it last: the place depends on the limits of the axes.
    """
    labels = [
        axes.annotate(
            text, (1, end[1]), xycoords=("axes fraction", "data"), xytext=(14, 0),
            textcoords="offset points", va="center", size=SMALLEST_TEXT,
            arrowprops={
                "arrowstyle": "-", "color": color, "linewidth": 1, "shrinkA": 1, "shrinkB": 0
            },
        )
        for end, text, color in zip(ends, texts, colors, strict=True)
    ]  # fmt: skip
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    pixels = figure.dpi / 72
    heights = [axes.transData.transform(end)[1] / pixels for end in ends]
    for label, height, place in zip(labels, heights, _spread(heights, 12), strict=True):
        label.set_position((14, place - height))


def _spread(heights: Sequence[float], least: float) -> list[float]:
    """Return the heights, moved as little as needed for a distance of at least `least`."""
    order = np.argsort(heights)
    clusters: list[list[int]] = []
    centers: list[float] = []
    for index in order:
        members, center = [int(index)], float(heights[index])
        # A label joins the cluster below while the two overlap; a cluster lies around its mean.
        while clusters and center - centers[-1] < least * (len(members) + len(clusters[-1])) / 2:
            members = clusters.pop() + members
            centers.pop()
            center = float(np.mean([heights[each] for each in members]))
        clusters.append(members)
        centers.append(center)
    places = [0.0] * len(heights)
    for members, center in zip(clusters, centers, strict=True):
        for rank, index in enumerate(members):
            places[index] = center + least * (rank - (len(members) - 1) / 2)
    return places
