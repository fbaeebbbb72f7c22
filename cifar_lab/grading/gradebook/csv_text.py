"""A CSV text in which single cells are replaced, and every other character stays as it is.

Python's `csv` reads and writes tables, not texts: quotes, line ends and separators would be its
own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BYTE_ORDER_MARK, QUOTE = "\ufeff", '"'
SEPARATORS = ",;\t"
SAID_SEPARATOR = "sep="  # a first line that Excel reads


@dataclass(frozen=True)
class Cell:
    """A cell, and where it stands in the text.

    Attributes:
        value: Its content, without quotes.
        start: Index of its first character, a quote perhaps.
        end: Index after its last one.
        is_quoted: Whether it is in quotes.
    """

    value: str
    start: int
    end: int
    is_quoted: bool


class CsvText:
    """A CSV text, as a table of cells.

    Args:
        text: The text, with or without a byte order mark.

    Attributes:
        separator: Character between cells.
        rows: Cells of all rows that are not empty.

    Raises:
        ValueError: A quotation mark is not closed.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        start = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
        first = text[start:].split("\n", 1)[0].strip("\r\n")
        if first.lower().startswith(SAID_SEPARATOR) and len(first) == len(SAID_SEPARATOR) + 1:
            self.separator = first[-1]
            start = min(len(text), text.index("\n", start) + 1) if "\n" in text else len(text)
        else:
            self.separator = _separator(text[start:])
        self._ends = re.compile(rf"[{re.escape(self.separator)}\r\n]")
        self.rows: list[list[Cell]] = []
        self._read(start)

    def _read(self, position: int) -> None:
        text, row = self.text, list[Cell]()
        while position < len(text):
            cell = self._cell(position)
            row.append(cell)
            position = cell.end
            if text[position : position + 1] == self.separator:
                position += 1
                if position == len(text):
                    row.append(Cell("", position, position, False))
                continue
            if len(row) > 1 or row[0].value:
                self.rows.append(row)
            row = []
            position += 2 if text.startswith("\r\n", position) else 1
        if row:
            self.rows.append(row)

    def _cell(self, start: int) -> Cell:
        text, end = self.text, start
        if text.startswith(QUOTE, start):
            end = start + 1
            while True:
                end = text.find(QUOTE, end)
                if end < 0:
                    line = text.count("\n", 0, start) + 1
                    raise ValueError(
                        f"It can't be read as CSV: a quotation mark in line {line} is not closed."
                    )
                if not text.startswith(QUOTE, end + 1):
                    break
                end += 2
            end += 1
            value = text[start + 1 : end - 1].replace(QUOTE * 2, QUOTE)
            rest = self._plain_end(end)
            return Cell(value + text[end:rest], start, rest, rest == end)
        end = self._plain_end(start)
        return Cell(text[start:end], start, end, False)

    def _plain_end(self, start: int) -> int:
        found = self._ends.search(self.text, start)
        return found.start() if found else len(self.text)

    def replaced(self, values: Mapping[tuple[int, int], str]) -> str:
        """Return the text with other values in some cells, by the numbers of row and column."""
        parts, position = [], 0
        for (row, column), value in sorted(values.items()):
            cell = self.rows[row][column]
            parts += [self.text[position : cell.start], self._written(value, cell.is_quoted)]
            position = cell.end
        return "".join([*parts, self.text[position:]])

    def _written(self, value: str, is_quoted: bool) -> str:
        if is_quoted or any(sign in value for sign in (self.separator, QUOTE, "\n", "\r")):
            return QUOTE + value.replace(QUOTE, QUOTE * 2) + QUOTE
        return value


def _separator(text: str) -> str:
    """Return the separator that the first line has most of, outside of quotes."""
    counts, is_quoted = dict.fromkeys(SEPARATORS, 0), False
    for character in text:
        if character == QUOTE:
            is_quoted = not is_quoted
        elif character in "\r\n" and not is_quoted:
            break
        elif character in counts and not is_quoted:
            counts[character] += 1
    return max(counts, key=lambda sign: counts[sign])
