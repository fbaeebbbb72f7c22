"""A figure that a notebook shows sharply, with a text for readers who can't see it."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

CSS_PIXELS_PER_INCH = 96  # of a page, so that a point is as large in PNG as in SVG
PIXEL_RATIO = 2  # of a PNG, for screens of twice the resolution
SMALLEST_TEXT = 9  # points

# Text as outlines looks the same on every page; a fixed salt makes the same figure the same file.
SVG_SETTINGS: Any = {"svg.fonttype": "path", "svg.hashsalt": "cifar_lab"}


class Picture(Figure):
    """A matplotlib figure that a notebook shows once, as an image with an alternative text.

    It is SVG, or PNG of twice the resolution where it holds images. matplotlib's own display in
    notebooks has neither the resolution nor the text.

    Args:
        width: The width in inches.
        height: The height in inches.
        layout: The layout engine, as in matplotlib's `Figure`.

    Attributes:
        alt: The text for readers who can't see the picture.
    """

    def __init__(self, width: float, height: float, layout: Any = "constrained") -> None:
        super().__init__(figsize=(width, height), layout=layout, facecolor="white")
        FigureCanvasAgg(self)
        self.alt = ""

    def _repr_html_(self) -> str:
        """Return the picture as HTML; notebooks show it, also ones that are not trusted."""
        if any(axes.images for axes in self.axes):
            data, width = self._bytes("png"), ""
            pixels = int.from_bytes(data[16:20], "big")  # from the PNG's header
            width = f' width="{round(pixels / PIXEL_RATIO)}"'
            return image_tag(data, "image/png", self.alt, width)
        return image_tag(self._bytes("svg"), "image/svg+xml", self.alt)

    def _bytes(self, kind: str) -> bytes:
        buffer = io.BytesIO()
        with mpl.rc_context(SVG_SETTINGS):
            self.savefig(
                buffer,
                format=kind,
                dpi=PIXEL_RATIO * CSS_PIXELS_PER_INCH if kind == "png" else "figure",
                bbox_inches="tight",
                metadata={"Date": None} if kind == "svg" else None,
            )
        return buffer.getvalue()

    def bundle(self) -> dict[str, str]:
        """Return what a notebook shows, by media type."""
        return {"text/html": self._repr_html_(), "text/plain": self.alt}

    def _ipython_display_(self) -> None:
        """Show the picture, in place of the formatters that matplotlib registers for figures."""
        from IPython.display import display

        display(self.bundle(), raw=True)


def image_tag(data: bytes, kind: str, alt: str, attributes: str = "") -> str:
    """Return an HTML image that holds its data.

    Args:
        data: The content of the file.
        kind: The media type, such as "image/png".
        alt: The alternative text.
        attributes: Further attributes of the tag.
    """
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{html.escape(alt)}"{attributes} style="max-width: 100%" src="{source}">'
