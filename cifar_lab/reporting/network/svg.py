"""The text of an SVG file: lines, texts and what else is given."""

from __future__ import annotations

import html

FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
ARROWS = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>'
)


class Page:
    """A drawing that grows by elements."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, element: str) -> None:
        """Add an element on top of the others."""
        self._parts.append(element)

    def reserve(self) -> int:
        """Keep a place below what comes after, and return its number."""
        self._parts.append("")
        return len(self._parts) - 1

    def fill(self, place: int, element: str) -> None:
        """Put an element into a reserved place."""
        self._parts[place] = element

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        anchor: str = "start",
        weight: str = "normal",
        color: str = "#111111",
    ) -> None:
        """Write a line."""
        self.add(
            f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}" fill="{color}">{html.escape(text)}</text>'
        )

    def path(self, commands: str, arrow: bool = True, width: float = 1.2) -> None:
        """Draw a line, with an arrow at its end."""
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self.add(f'<path d="{commands}" fill="none" stroke="#444" stroke-width="{width}"{end}/>')

    def svg(self, width: float, height: float) -> str:
        """Return the file's text."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
            f'viewBox="0 0 {width} {height:.0f}" font-family="{FONT}">{ARROWS}'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(self._parts)}</svg>'
        )
