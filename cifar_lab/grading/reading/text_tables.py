"""Tables in text: every cell together with the names of its column and its row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

BORDER = re.compile(r"(?=.*\S)[\s|+:=─━┼╪┿│┌┐└┘├┤┬┴-]{3,}")
PIPE = re.compile(r"[|│┃]")
SPACED = re.compile(r"[^\s|]+(?: [^\s|]+)*")  # two spaces part the columns
NUMBER = re.compile(r"(?<!\w)(?<![^\W\d_]-)\d")  # not the digits of a name: conv2, CIFAR-10
BARE = re.compile(r"[-+]?\d+(?:\.\d+)?%?")
LETTER = re.compile(r"[^\W\d_]")
MEASURE = re.compile(r"acc|test", re.IGNORECASE)
ONE_WORD = re.compile(r"test\w{0,5}acc|acc\w{0,10}test", re.IGNORECASE)
OWN_NAME = re.compile(r"acc[a-z]{0,5}[^\w|]{0,3}[:=]", re.IGNORECASE)  # it needs no head
MOST_COLUMNS, LONGEST_CELL = 50, 80


@dataclass(frozen=True)
class Sentence:
    """A line of a text, or a cell of a table in it as `row column: cell`."""

    text: str
    in_table: bool = False


@dataclass(frozen=True)
class _Head:
    """The names of a table's columns, and how its lines are parted."""

    kind: str
    names: tuple[str, ...]
    line: str


def sentences(lines: Iterable[str]) -> Iterator[Sentence]:
    """Yield the lines; of a table with a head, each cell with its row's and its column's name."""
    rows = [line for line in lines if not BORDER.fullmatch(line)]
    head: _Head | None = None
    first_row = 0
    for place, line in enumerate(rows):
        if place < first_row:
            continue
        cells = head and _row(line, head)
        if head and cells:
            yield from _named(cells, head)
            continue
        head, first_row = _head_at(rows, place)
        if head is None:
            yield Sentence(line)


def _head_at(rows: Sequence[str], place: int) -> tuple[_Head | None, int]:
    """Return the head that begins at this line, and where its first row is.

    pandas writes the index's name into a line of its own, in which all other cells are empty.
    """
    head = _head(rows[place])
    second, third = [*rows[place + 1 : place + 3], "", ""][:2]
    if head is None:
        return None, place
    if _row(second, head):
        return head, place + 1
    names = _split(second, head.kind)
    is_index_name = len(list(filter(None, names))) == 1 and not NUMBER.search(second)
    if is_index_name and _row(third, head):
        return head, place + 2
    return None, place


def _head(line: str) -> _Head | None:
    """Return the columns' names if the line may be a table's head: at least two, no number."""
    kind = next((kind for kind in ("pipes", "\t", ",") if _has(line, kind)), "spaces")
    if kind == "spaces" and len(SPACED.findall(line)) == 1 and ONE_WORD.search(line):
        kind = "words"  # as print(epoch, loss, accuracy) parts them
    names = _split(line, kind)
    if not 2 <= len(names) <= MOST_COLUMNS or max(map(len, names)) > LONGEST_CELL:
        return None
    if any(map(NUMBER.search, names)) or not any(map(LETTER.search, names)):
        return None
    if kind != "pipes" and not MEASURE.search(line):  # a sentence, most likely
        return None
    return _Head(kind, tuple(names), line)


def _has(line: str, kind: str) -> bool:
    return (PIPE.search(line) is not None) if kind == "pipes" else kind in line


def _split(line: str, kind: str) -> list[str]:
    if kind == "spaces":
        return SPACED.findall(line)
    if kind == "words":
        return line.split()
    parts = PIPE.split(line) if kind == "pipes" else line.split(kind)
    if kind == "pipes":  # those around the row
        parts = parts[not parts[0].strip() : len(parts) - (not parts[-1].strip())]
    return [part.strip() for part in parts]


def _row(line: str, head: _Head) -> list[str] | None:
    """Return the cells under the head's names, after the row's own name where it has one."""
    if not NUMBER.search(line) or len(line) > MOST_COLUMNS * LONGEST_CELL or OWN_NAME.search(line):
        return None
    cells = _split(line, head.kind)
    if head.kind == "words" and not all(map(BARE.fullmatch, cells[1:])):
        return None
    if len(cells) == len(head.names):
        return ["", *cells]
    if head.kind != "spaces":
        return None
    if len(cells) == len(head.names) + 1:  # pandas names no column for its index
        return cells
    return _below(line, head)


def _below(line: str, head: _Head) -> list[str] | None:
    """Return the numbers that stand under a name, where single spaces part the columns too."""
    words = [(match.start(), match.end(), match[0]) for match in re.finditer(r"\S+", line)]
    if len(words) < len(head.names):
        return None
    cells = []
    for name in SPACED.finditer(head.line):
        under = [text for start, end, text in words if start < name.end() and end > name.start()]
        cells.append(under[0] if len(under) == 1 and BARE.fullmatch(under[0]) else "")
    label = " ".join(text for *_, text in words if LETTER.search(text))
    return [label, *cells] if any(cells) else None


def _named(cells: Sequence[str], head: _Head) -> Iterator[Sentence]:
    """Yield `row column: number`, where the row's name is its first text."""
    label = next((cell for cell in cells if LETTER.search(cell)), "")[:LONGEST_CELL]
    for name, cell in zip(head.names, cells[1:], strict=True):
        if cell != label and len(cell) <= LONGEST_CELL and re.search(r"\d", cell):
            yield Sentence(f"{label} {name}: {cell}", in_table=True)
