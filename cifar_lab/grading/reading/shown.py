"""The outputs of a notebook's code cells, as plain text."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any

from cifar_lab.grading.submissions.submission import Cell

CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
TAG = re.compile(r"<[^<>]{0,500}>")
UNSEEN = re.compile(r"<(?:style|script)\b[^<>]{0,500}>|</(?:style|script)>", re.IGNORECASE)
NEW_LINE = re.compile(r"<(?:br|p|/p|div|/div|li|h\d|/h\d|table|/table)\b[^<>]{0,500}>", re.I)
ROW_STARTS = re.compile(r"<tr\b[^<>]{0,500}>", re.IGNORECASE)
CELL_ENDS = re.compile(r"</t[dh]>", re.IGNORECASE)
NO_CHARACTER = re.compile(r"&#\d{8,};?")  # Python turns no number so long into a character
MOST_TEXT = 2_000_000  # characters of a notebook's outputs that are looked at


def output_text(cell: Cell) -> str:
    """Return what a cell shows; a table's rows as `| cell | cell |`."""
    parts: list[str] = []
    length = 0
    for output in cell.outputs:
        if length > MOST_TEXT:
            break
        new = [part for part in _parts(output) if part]
        parts += new
        length += sum(len(part) + 1 for part in new)
    return CONTROL.sub("", "\n".join(parts)[:MOST_TEXT])


def texts(cells: Iterable[Cell]) -> Iterator[tuple[Cell, str]]:
    """Yield each code cell and what it shows, up to `MOST_TEXT` characters of all together."""
    left = MOST_TEXT
    for cell in cells:
        if left <= 0:
            return
        if cell.kind == "code":
            text = output_text(cell)[:left]
            left -= len(text) + 1
            yield cell, text


def all_output(cells: Iterable[Cell]) -> str:
    """Return what all code cells show."""
    return "\n".join(text for _, text in texts(cells))


def _parts(output: dict[str, Any]) -> tuple[str, str]:
    """Return a stream's text, and a shown value in its most readable form."""
    data = output.get("data")
    data = data if isinstance(data, dict) else {}
    if "text/markdown" in data:
        shown = joined(data["text/markdown"])
    elif "text/html" in data:
        shown = _text_of_html(joined(data["text/html"])[:MOST_TEXT])
    else:
        shown = joined(data.get("text/plain"))
    return joined(output.get("text")), shown


def joined(text: Any) -> str:
    """Return a notebook's text, which is stored as one string or as a list of lines."""
    if isinstance(text, list):
        return "".join(map(str, text))
    return text if isinstance(text, str) else ""


def _text_of_html(text: str) -> str:
    """Return the text as it is seen, each table row in a line of its own."""
    text = "".join(UNSEEN.split(text)[::2])
    if "<pre" not in text:
        text = re.sub(r"\s+", " ", text)
    text = ROW_STARTS.sub("\n| ", NEW_LINE.sub("\n", text))
    return html.unescape(NO_CHARACTER.sub(" ", TAG.sub(" ", CELL_ENDS.sub(" | ", text))))
