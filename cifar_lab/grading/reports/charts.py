"""Charts as SVG, to be put into a page: readable without colour, with a text for who can't see."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cifar_lab.grading.reports.axes import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    epoch_axis,
    percent_axis,
    size_axis,
)
from cifar_lab.grading.reports.figures import Network
from cifar_lab.grading.reports.markup import Markup, joined, tag
from cifar_lab.grading.reports.readable import shown_name

WIDTH, HEIGHT = 400, 280
INK, SOFT, LINE, BLUE, BROWN = "#1b1f24", "#57606a", "#d0d7de", "#0072b2", "#7a3e00"
DASHES = ("", "7 4", "2 3")
MOST_POINTS = 300  # of a curve


def size_chart(
    networks: Sequence[Network],
    known: Sequence[Network],
    alt: str,
    *,
    best: Sequence[Network] = (),
    mine: Network | None = None,
    addresses: Sequence[str | None] = (),
) -> Markup:
    """Return accuracy against parameters.

    Args:
        networks: Networks that are drawn as small circles.
        known: Networks that are drawn as their letters.
        alt: Text for those who can't see it.
        best: Networks that no other beats, joined by a line.
        mine: Network that is drawn as a star.
        addresses: Addresses that the circles lead to.
    """
    every = [*networks, *known, *([mine] if mine else [])]
    across, up = (
        size_axis([one.parameters for one in every]),
        percent_axis([one.accuracy for one in every]),
    )

    def place(one: Network) -> tuple[float, float]:
        return round(across.at(one.parameters), 1), round(up.at(one.accuracy), 1)

    parts = _frame(
        across,
        up,
        "test accuracy in %",
        "parameters, each step ten times as many"
        if all(label[0] == "1" for _, label in across.ticks)
        else "parameters",
    )
    if best:
        parts.append(_steps([place(one) for one in best], across.end))
    among = set(best)
    for number, one in enumerate(networks):
        circle = _circle(one, place(one), on_front=one in among)
        link = addresses[number] if number < len(addresses) else None
        parts.append(tag("a", circle, href=link, tabindex="-1") if link else circle)
    parts += [_letter(one, place(one)) for one in known]
    parts += [_star(mine, place(mine))] if mine else []
    return picture(parts, alt)


def curves(series: dict[str, list[tuple[int, float]]], alt: str) -> Markup:
    """Return percentages by epoch, each series in dashes of its own."""
    points = [point for some in series.values() for point in some]
    across, up = epoch_axis([x for x, _ in points]), percent_axis([y for _, y in points])
    parts = _frame(across, up, "accuracy in %", "epoch")
    for dashes, some in zip(DASHES, series.values(), strict=False):
        step = max(1, math.ceil(len(some) / MOST_POINTS))
        kept = [*some[:-1:step], some[-1]]
        places = [f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in kept]
        parts.append(_line(" ".join(places), dashes))
        if len(kept) <= 20:
            for place in places:
                x, y = place.split(",")
                parts.append(tag("circle", cx=x, cy=y, r=2.5, fill=BLUE))
    return picture(parts, alt)


def dash_key(place: int) -> Markup:
    """Return a short piece of a curve's line, for the key."""
    return tag(
        "svg",
        _line("1,6 33,6", DASHES[place]),
        viewBox="0 0 34 12",
        width=34,
        height=12,
        aria_hidden="true",
    )


def bars(counts: dict[str, int], alt: str, title: str, below: str) -> Markup:
    """Return a bar for each label, with its number above it."""
    most = max([*counts.values(), 1])
    width = (RIGHT - LEFT) / len(counts)
    parts = [
        tag("text", title, x=LEFT, y=12),
        tag("text", below, x=(LEFT + RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"),
        tag("line", x1=LEFT, y1=BOTTOM, x2=RIGHT, y2=BOTTOM, stroke=INK),
    ]
    for place, (label, count) in enumerate(counts.items()):
        height = (BOTTOM - TOP - 12) * count / most
        x, middle = LEFT + place * width, round(LEFT + (place + 0.5) * width, 1)
        if count:
            parts.append(
                tag(
                    "rect",
                    x=round(x + 1.5, 1),
                    y=round(BOTTOM - height, 1),
                    width=round(width - 3, 1),
                    height=round(height, 1),
                    fill=BLUE,
                )
            )
            above = round(BOTTOM - height - 4, 1)
            parts.append(tag("text", f"{count:,}", x=middle, y=above, text_anchor="middle"))
        parts.append(tag("text", label, x=middle, y=BOTTOM + 16, text_anchor="middle"))
    return picture(parts, alt)


def share_bar(shares: Sequence[tuple[str, float]], alt: str) -> Markup:
    """Return one bar that is divided, each part in a pattern of its own (see `patterns`).

    Args:
        shares: Names of patterns with the shares of the whole, 1 all together.
        alt: Text for those who can't see it.
    """
    parts, x = [], 0.0
    for name, share in shares:
        if share > 0:
            parts.append(
                tag(
                    "rect",
                    x=round(x, 2),
                    y=0.5,
                    width=round(160 * share, 2),
                    height=13,
                    fill=f"url(#{name})",
                    stroke=INK,
                    stroke_width=0.7,
                )
            )
        x += 160 * share
    return tag(
        "svg", *parts, viewBox="-1 0 162 14", width=162, height=14, role="img", aria_label=alt
    )


def patterns() -> Markup:
    """Return the fills of `share_bar`, which a page with such bars has once."""
    fills = {
        "passed": [tag("rect", width=6, height=6, fill="#33658a")],
        "partly": [
            _ground("#bcd4e6"),
            tag("path", d="M0 6L6 0", stroke="#33658a", stroke_width=1.4),
        ],
        "failed": [
            _ground("#fff"),
            tag("path", d="M0 0L6 6M0 6L6 0", stroke="#a63e00", stroke_width=1),
        ],
        "blocked": [_ground("#fff"), tag("circle", cx=3, cy=3, r=1, fill="#57606a")],
        "open": [_ground("#fff")],
    }
    made = [
        tag("pattern", *content, id=name, width=6, height=6, patternUnits="userSpaceOnUse")
        for name, content in fills.items()
    ]
    return tag("svg", tag("defs", *made), width=0, height=0, aria_hidden="true")


def pattern_key(name: str) -> Markup:
    """Return a small field of a pattern, for the key."""
    field = tag("rect", x=0.5, y=0.5, width=23, height=11, fill=f"url(#{name})", stroke=INK)
    return tag("svg", field, viewBox="0 0 24 12", width=24, height=12, aria_hidden="true")


def symbol_key(kind: str) -> Markup:
    """Return a symbol of `size_chart`, for the key: circle, front, letter or star."""
    one = Network("", 1, 0.0, "A")
    shapes = {
        "circle": lambda: _circle(one, (10, 7), on_front=False),
        "front": lambda: joined(
            [_steps([(1, 11), (10, 6)], 19), _circle(one, (10, 6), on_front=True)]
        ),
        "letter": lambda: _letter(one, (10, 7)),
        "star": lambda: _star(one, (10, 7)),
    }
    return tag("svg", shapes[kind](), viewBox="0 0 20 14", width=20, height=14, aria_hidden="true")


def picture(parts: Sequence[Markup], alt: str) -> Markup:
    """Return the parts as one picture with a text."""
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=alt,
    )


def _ground(color: str) -> Markup:
    return tag("rect", width=6, height=6, fill=color)


def _line(points: str, dashes: str) -> Markup:
    return tag(
        "polyline",
        points=points,
        fill="none",
        stroke=BLUE,
        stroke_width=2,
        stroke_dasharray=dashes or None,
    )


def _frame(across: Axis, up: Axis, title: str, below: str) -> list[Markup]:
    """Return grid, labels and titles."""
    parts = [
        tag("text", title, x=4, y=12),
        tag("text", below, x=(LEFT + RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"),
    ]
    for value, label in up.ticks:
        y = round(up.at(value), 1)
        parts.append(tag("line", x1=LEFT, y1=y, x2=RIGHT, y2=y, stroke=LINE))
        parts.append(tag("text", label, x=LEFT - 6, y=y + 4, text_anchor="end"))
    for value, label in across.ticks:
        x = round(across.at(value), 1)
        parts.append(tag("line", x1=x, y1=TOP, x2=x, y2=BOTTOM, stroke=LINE))
        parts.append(tag("text", label, x=x, y=BOTTOM + 16, text_anchor="middle"))
    return parts


def _steps(places: Sequence[tuple[float, float]], end: float) -> Markup:
    """Return the line below which every network is beaten by one of these."""
    (x, y), *rest = places
    path = f"M{x} {y}" + "".join(f"H{one}V{other}" for one, other in rest) + f"H{end}"
    return tag("path", d=path, fill="none", stroke=INK, stroke_width=1.4)


def _circle(one: Network, place: tuple[float, float], *, on_front: bool) -> Markup:
    x, y = place
    title = tag("title", _told(one)) if one.name else None
    look = (
        {"fill": "#fff", "stroke": INK, "stroke_width": 1.8, "r": 4.2}
        if on_front
        else {"fill": BLUE, "fill_opacity": 0.55, "stroke": "#fff", "stroke_width": 0.4, "r": 3.2}
    )
    return tag("circle", title, cx=x, cy=y, **look)


def _letter(one: Network, place: tuple[float, float]) -> Markup:
    x, y = place
    title = tag("title", _told(one)) if one.name else None
    shape = tag("rect", x=x - 6.5, y=y - 6.5, width=13, height=13, rx=2, fill=BROWN, stroke="#fff")
    letter = tag(
        "text", one.letter, x=x, y=y + 4, text_anchor="middle", fill="#fff", class_="letter"
    )
    return tag("g", title, shape, letter)


def _star(one: Network, place: tuple[float, float]) -> Markup:
    x, y = place
    corners = []
    for number in range(10):
        radius, angle = (9 if number % 2 == 0 else 3.8), math.pi * (number / 5 - 0.5)
        corners.append(f"{x + radius * math.cos(angle):.1f},{y + radius * math.sin(angle):.1f}")
    title = tag("title", _told(one)) if one.name else None
    return tag("polygon", title, points=" ".join(corners), fill=BLUE, stroke="#fff")


def _told(one: Network) -> str:
    return f"{shown_name(one.name)}: {one.accuracy:.2f} %, {one.parameters:,} parameters"
