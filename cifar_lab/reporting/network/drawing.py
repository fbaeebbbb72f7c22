"""Block diagrams of networks as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from cifar_lab.models.inspection import IMAGE_SHAPE
from cifar_lab.reporting.network.layout import (
    COLUMN_GAP,
    GAP,
    LINE,
    PADDING,
    SMALL,
    TEXT,
    Box,
    Layout,
    arrange,
    count_columns,
)
from cifar_lab.reporting.network.operations import IMAGE
from cifar_lab.reporting.network.rows import Level, Row, build_levels
from cifar_lab.reporting.network.svg import Page
from cifar_lab.reporting.network.trace import trace
from cifar_lab.reporting.picture import image_tag

WIDTH, NARROW = 800, 440  # pixels, with blocks beside the network and without
MARGIN = 12
BRACKET = 30  # on the left, for the number of repeats
LANES = 34  # on the right of a column, for connections that pass it
MOST_PANELS = 6
# Fill and edge by kind: light, so that the text on them is legible, with edges that differ.
COLORS = {
    "convolution": ("#DCEBF7", "#0072B2"),
    "linear": ("#FCE5D4", "#D55E00"),
    "pooling": ("#D5F0E6", "#009E73"),
    "join": ("#F7E6F0", "#A83279"),
    "block": ("#EEEEEE", "#333333"),
}
OTHER = ("#FFFFFF", "#767676")


@dataclass(frozen=True)
class Diagram:
    """A block diagram that a notebook shows.

    Attributes:
        svg: The drawing, the text of an SVG file.
        alt: The text for readers who can't see it.
    """

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        return image_tag(self.svg.encode(), "image/svg+xml", self.alt)

    def __repr__(self) -> str:
        return self.alt


def draw_network(
    model: nn.Module, title: str | None = None, images: tuple[int, ...] = IMAGE_SHAPE
) -> Diagram:
    """Draw a network as a block diagram, with each layer's output shape and parameters.

    The network is run once on an image, in eval mode, and stays as it is. Norms, activations and
    dropout stand in the box of the layer before them. Layers that are repeated are counted. A
    block, which is a module with others inside, is drawn once beside the network, with its
    shortcuts and branches. A shape is (channels × height × width).

    Args:
        model: Any network.
        title: The text above; None for the name of the network's class.
        images: The shape of an image.

    Raises:
        TypeError: The model is not a network.
        ValueError: It can't take an image of that shape.

    Example:
        >>> import cifar_lab as lab
        >>> diagram = lab.plots.draw_network(lab.build_model("mlp"))
        >>> diagram.alt.split(". ")[0]
        'Block diagram of SimpleMLP (308,310 parameters, 308,200 MACs per image)'
    """
    traced = trace(model, images)
    level = build_levels(traced)
    heading = title or traced.class_name
    size = f"{traced.parameters:,} parameters, {traced.macs:,} MACs per image"
    page = Page()
    page.text(MARGIN, 24, heading, 16, weight="bold")
    page.text(MARGIN, 44, size, SMALL)
    panels, width = _panels(level), WIDTH
    main_columns = count_columns(level)
    if main_columns > 1 or not panels:
        width = WIDTH if panels or main_columns > 1 else NARROW
        bottom = _draw_level(page, level, MARGIN, 60, width - 2 * MARGIN, is_main=True)
        top = bottom + 2 * GAP
        bottom = _draw_panels(page, panels, MARGIN, top, WIDTH - 2 * MARGIN, bottom)
    else:
        wide = [panel for panel in panels if count_columns(panel[1]) > 2]
        narrow = [panel for panel in panels if count_columns(panel[1]) <= 2]
        main = _draw_level(page, level, MARGIN, 60, 330, is_main=True)
        right = _draw_panels(page, narrow, 372, 60, WIDTH - MARGIN - 372, 60)
        bottom = max(main, right)
        bottom = _draw_panels(page, wide, MARGIN, bottom + 2 * GAP, WIDTH - 2 * MARGIN, bottom)
    return Diagram(page.svg(width, bottom + MARGIN), _told(heading, size, level, panels))


def _panels(level: Level) -> list[tuple[str, Level]]:
    """Return the blocks to draw in detail: the first of each kind."""
    found: dict[str, Level] = {}
    waiting = [level]
    while waiting:
        holder = waiting.pop(0)
        for row in holder.rows:
            if row.inside is not None and row.label not in found and len(found) < MOST_PANELS:
                found[row.label] = row.inside
                waiting.append(row.inside)
    return list(found.items())


def _draw_panels(
    page: Page,
    panels: Sequence[tuple[str, Level]],
    left: float,
    top: float,
    width: float,
    bottom: float,
) -> float:
    """Draw blocks in detail below each other, and return where they end."""
    for label, level in panels:
        place = page.reserve()
        text = f"Inside {label}" + (", the first one" if label != level.class_name else "")
        page.text(left + PADDING + 3, top + 20, text, TEXT, weight="bold")
        ends = _draw_level(page, level, left + PADDING, top + 30, width - 2 * PADDING) + 10
        page.fill(
            place,
            f'<rect x="{left}" y="{top:.0f}" width="{width}" height="{ends - top:.0f}" rx="8" '
            'fill="#FAFAFA" stroke="#BBBBBB"/>',
        )
        bottom = ends
        top = bottom + GAP
    return bottom


def _draw_level(
    page: Page, level: Level, left: float, top: float, width: float, is_main: bool = False
) -> float:
    """Draw the rows of a level, and return where they end."""
    left, width = left + BRACKET * bool(level.groups), width - BRACKET * bool(level.groups)
    layout = arrange(level, left, top + LINE + PADDING, width - LANES)
    if not layout.boxes:
        return top
    start = layout.boxes[layout.spine[0]]
    shape = " × ".join(map(str, level.input_shape))
    entry = f"{shape} image" if is_main else f"{shape} in"
    page.text(start.middle, top + LINE, entry, SMALL, anchor="middle")
    _draw_connections(page, level, layout)
    for box in layout.boxes:
        _draw_box(page, box)
    for first, last, count in level.groups:
        upper, lower = layout.boxes[first].top, layout.boxes[last].bottom
        page.path(f"M{left - 6} {upper:.0f}h-6V{lower:.0f}h6", arrow=False, width=1.5)
        page.text(left - 16, (upper + lower) / 2 + 4, f"{count}×", TEXT, "end", weight="bold")
    return top + LINE + PADDING + layout.height


def _draw_box(page: Page, box: Box) -> None:
    fill, edge = COLORS.get(box.row.kind, OTHER)
    thick = 2.2 if box.row.inside is not None else 1.3
    page.add(
        f'<rect x="{box.left:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="5" fill="{fill}" stroke="{edge}" stroke-width="{thick}"/>'
    )
    y = box.top + PADDING + 10
    for line in box.lines:
        page.text(box.middle, y, line, TEXT, anchor="middle")
        y += LINE
    for line in box.numbers:
        page.text(box.middle, y, line, SMALL, anchor="middle", color="#333333")
        y += LINE


def _draw_connections(page: Page, level: Level, layout: Layout) -> None:
    rows, boxes = level.rows, layout.boxes
    places = {number: place for place, number in enumerate(layout.spine)}
    for place, number in enumerate(layout.spine):
        before = layout.spine[place - 1] if place else IMAGE
        if before in rows[number].sources or (before == IMAGE and not rows[number].sources):
            box = boxes[number]
            upper = boxes[before].bottom if place else layout.top
            page.path(f"M{box.middle:.0f} {upper:.0f}V{box.top:.0f}")
    for source, number, lane in layout.skips:
        _draw_skip(page, layout, source, number, lane)
    for number, row in enumerate(rows):
        for source in row.sources:
            if number not in places:
                _draw_to_branch(page, layout, source, number, source in places or source == IMAGE)
            elif source not in places and source != IMAGE:  # back from a branch
                box, end = boxes[source], boxes[number]
                page.path(
                    f"M{box.middle:.0f} {box.bottom:.0f}V{end.top + end.height / 2:.0f}"
                    f"H{end.left + end.width:.0f}"
                )


def _draw_to_branch(page: Page, layout: Layout, source: int, number: int, from_spine: bool) -> None:
    box = layout.boxes[number]
    if not from_spine:
        page.path(f"M{box.middle:.0f} {layout.boxes[source].bottom:.0f}V{box.top:.0f}")
        return
    middle = layout.boxes[layout.spine[0]].middle
    upper = layout.boxes[source].bottom if source != IMAGE else layout.top
    page.path(f"M{middle:.0f} {upper + 8:.0f}H{box.middle:.0f}V{box.top:.0f}")


def _draw_skip(page: Page, layout: Layout, source: int, number: int, lane: int) -> None:
    """Draw a shortcut: out of the connection below its source, along a lane, into its end."""
    end = layout.boxes[number]
    upper = layout.boxes[source].bottom if source != IMAGE else layout.top
    right = end.left + end.width + 12 + lane * (COLUMN_GAP - 8 if layout.columns == 1 else 5)
    right = min(right, end.left + end.width + (LANES if layout.columns == 1 else COLUMN_GAP) - 2)
    page.path(
        f"M{end.middle:.0f} {upper + 8:.0f}H{right:.0f}V{end.top + end.height / 2:.0f}"
        f"H{end.left + end.width:.0f}"
    )


def _told(heading: str, size: str, level: Level, panels: Sequence[tuple[str, Level]]) -> str:
    """Return the diagram in words."""
    shape = " × ".join(map(str, level.input_shape))
    words = f"Block diagram of {heading} ({size}). {shape} image; {_rows_told(level.rows)}."
    for label, inside in panels:
        words += f" Inside {label}: {_rows_told(inside.rows)}."
    return words


def _rows_told(rows: Sequence[Row]) -> str:
    told = []
    for place, row in enumerate(rows):
        times = f"{row.repeats} × " if row.repeats > 1 else ""
        words = f"{times}{row.label}, {' × '.join(map(str, row.shape))}"
        if row.parameters:
            words += f", {row.parameters:,} parameters"
        skipped = [source for source in row.sources if source < place - 1]
        if row.kind == "join" and skipped:
            words += " (with a shortcut)"
        told.append(words)
    return "; ".join(told)
