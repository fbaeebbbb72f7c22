"""The places of a block diagram's rows: a column for the longest way, branches beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from cifar_lab.reporting.network.operations import IMAGE
from cifar_lab.reporting.network.rows import Level, Row

TEXT, SMALL = 13, 12  # pixels; 12 are 9 points
CHARACTER = 0.58  # of a character's height: its width, on average and with some reserve
LINE, PADDING, GAP = 17, 7, 24
COLUMN_GAP = 26
MOST_COLUMNS = 4
ANY_LANE = 6  # connections beside the column at one height


@dataclass
class Box:
    """A row of the diagram and its place."""

    row: Row
    lines: list[str]
    numbers: list[str]
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0

    @property
    def height(self) -> float:
        """The height in pixels."""
        return LINE * (len(self.lines) + len(self.numbers)) + 2 * PADDING - 3

    @property
    def middle(self) -> float:
        """The horizontal middle."""
        return self.left + self.width / 2

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height


@dataclass
class Layout:
    """The places of a level's rows.

    Attributes:
        boxes: The rows' boxes, by their numbers.
        spine: The rows of the longest way, in order.
        columns: The number of columns.
        width: The width in pixels.
        height: The height in pixels.
        skips: The connections without a row on them: from, to, and the lane beside the column.
        top: The height of the entry.
    """

    boxes: list[Box]
    spine: list[int]
    columns: int
    width: float = 0.0
    height: float = 0.0
    skips: list[tuple[int, int, int]] = field(default_factory=list)
    top: float = 0.0


def arrange(level: Level, left: float, top: float, width: float, columns: int = 0) -> Layout:
    """Return the places of a level's rows.

    Args:
        level: The level.
        left: The left edge in pixels.
        top: The height at which the connection to the first row begins.
        width: The width that there is.
        columns: The number of columns, see `count_columns`; 0 to find it.
    """
    spine, branches = _spine(level.rows)
    layout = Layout([], spine, columns or count_columns(level), width, 0, [], top)
    if len(spine) < len(level.rows) and layout.columns == 1:  # too many branches: all in a column
        spine = layout.spine = list(range(len(level.rows)))
        branches = []
    column_width = (width - COLUMN_GAP * (layout.columns - 1)) / layout.columns
    layout.boxes = [_box(row, column_width) for row in level.rows]
    y = top + GAP
    for number in spine:
        box = layout.boxes[number]
        box.left, box.top, box.width = left, y, column_width
        y = box.bottom + GAP
    for column, branch in _columns(branches, layout):
        _place_branch(layout, branch, left + column * (column_width + COLUMN_GAP), column_width)
    layout.height = max(box.bottom for box in layout.boxes) - top
    layout.skips = _skips(level.rows, layout)
    return layout


def count_columns(level: Level) -> int:
    """Return how many columns the level needs: one, and one for each branch at the same height."""
    spine, branches = _spine(level.rows)
    layout = Layout([_box(row, 200) for row in level.rows], spine, 1)
    y = 0.0
    for number in spine:
        layout.boxes[number].top = y
        y = layout.boxes[number].bottom + GAP
    columns = 1 + max((column for column, _ in _columns(branches, layout)), default=0)
    return columns if columns <= MOST_COLUMNS else 1


def _box(row: Row, width: float) -> Box:
    """Return a row with its texts broken into lines."""
    label = f"{row.repeats} × {row.label}" if row.repeats > 1 else row.label
    shape = " × ".join(map(str, row.shape))
    numbers = [shape]
    if row.parameters:
        numbers.append(f"{row.parameters:,} parameters")
    if row.shares:
        numbers.append("shared weights")
    return Box(row, fold(label, width, TEXT), fold(" · ".join(numbers), width, SMALL))


def fold(text: str, width: float, size: float) -> list[str]:
    """Return a text in lines that fit the width, broken at its dots where that is possible."""
    most = max(8, int((width - 2 * PADDING) / (CHARACTER * size)))
    lines: list[str] = []
    for part in text.split(" · "):
        joined = f"{lines[-1]} · {part}" if lines else part
        if lines and len(joined) <= most:
            lines[-1] = joined
        else:
            lines += textwrap.wrap(part, most)
    return lines


def _spine(rows: Sequence[Row]) -> tuple[list[int], list[list[int]]]:
    """Return the longest way to the last row, and the connected groups of the other rows."""
    length: list[int] = []
    before: list[int] = []
    for row in rows:
        best = max(
            row.sources, key=lambda each: length[each] if each != IMAGE else 0, default=IMAGE
        )
        length.append(1 + (length[best] if best != IMAGE else 0))
        before.append(best)
    spine = []
    number = len(rows) - 1
    while number != IMAGE:
        spine.append(number)
        number = before[number]
    spine.reverse()
    branches: list[list[int]] = []
    for number, row in enumerate(rows):
        if number in spine:
            continue
        joined = [branch for branch in branches if set(branch) & set(row.sources)]
        branches = [branch for branch in branches if branch not in joined]
        branches.append(sorted([number, *(each for branch in joined for each in branch)]))
    return spine, branches


def _columns(branches: Sequence[list[int]], layout: Layout) -> list[tuple[int, list[int]]]:
    """Return each branch with its column, the first in which nothing is at its height."""
    taken: list[list[tuple[int, int]]] = []
    found = []
    for branch in branches:
        start, end = _span(branch, layout)
        column = next(
            (
                number
                for number, spans in enumerate(taken)
                if all(end <= low or high <= start for low, high in spans)
            ),
            len(taken),
        )
        if column == len(taken):
            taken.append([])
        taken[column].append((start, end))
        found.append((column + 1, branch))
    return found


def _span(branch: Sequence[int], layout: Layout) -> tuple[int, int]:
    """Return the places in the spine between which a branch stands: of its fork and its end."""
    rows = [layout.boxes[number].row for number in branch]
    forks = [source for row in rows for source in row.sources if source not in branch]
    places = {number: place for place, number in enumerate(layout.spine)}
    start = max((places.get(fork, -1) for fork in forks), default=-1)
    ends = [
        place
        for place, number in enumerate(layout.spine)
        if set(layout.boxes[number].row.sources) & set(branch)
    ]
    return start, min(ends, default=len(layout.spine) - 1)


def _place_branch(layout: Layout, branch: Sequence[int], left: float, width: float) -> None:
    """Stack a branch's boxes in the middle between its fork and its end."""
    start, end = _span(branch, layout)
    boxes = [layout.boxes[number] for number in branch]
    height = sum(box.height for box in boxes) + GAP * (len(boxes) - 1)
    upper = layout.boxes[layout.spine[start]].bottom if start >= 0 else layout.top
    lower = layout.boxes[layout.spine[end]].top
    y = max(upper + GAP, (upper + lower - height) / 2)
    for box in boxes:
        box.left, box.top, box.width = left, y, width
        y = box.bottom + GAP


def _skips(rows: Sequence[Row], layout: Layout) -> list[tuple[int, int, int]]:
    """Return the connections along the column that pass rows, each with a free lane."""
    places = {number: place for place, number in enumerate(layout.spine)} | {IMAGE: -1}
    wanted = sorted(
        (places[source], places[number], source, number)
        for number in layout.spine
        for source in rows[number].sources
        if source in places and places[source] < places[number] - 1
    )
    lanes: list[list[tuple[int, int]]] = []
    skips = []
    for start, end, source, number in sorted(wanted, key=lambda each: each[1] - each[0]):
        lane = next(
            (
                index
                for index, spans in enumerate(lanes)
                if all(end <= low or high <= start for low, high in spans)
            ),
            len(lanes),
        )
        if lane == ANY_LANE:
            continue
        if lane == len(lanes):
            lanes.append([])
        lanes[lane].append((start, end))
        skips.append((source, number, lane))
    return skips
