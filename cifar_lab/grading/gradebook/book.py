"""A gradebook as a course site exported it: its columns, and which rows are students'."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cifar_lab.grading.gradebook.csv_text import CsvText

# Headings of columns with an id, by the kind of id that submissions have.
STUDENT_IDS = ("sis user id", "orgdefinedid", "id number", "student id", "student number", "sid")
LOGINS = ("sis login id", "username", "login id", "email address", "email", "e-mail address")
ID_COLUMNS = {
    "canvas": ("id",),
    "moodle": ("identifier",),
    "brightspace": ("orgdefinedid",),
    "sid": STUDENT_IDS,
    "email": LOGINS,
    "folder": ("id", *STUDENT_IDS, *LOGINS),
}
NAME_COLUMNS = (  # one column, or those that make up a name
    ("student",),
    ("full name",),
    ("name",),
    ("lastname", "firstname"),
    ("last name", "first name"),
    ("surname", "first name"),
)
NOT_OF_GRADES = {"section", "sections", "status", "end-of-line indicator", "maximum grade"}
CANVAS_ASSIGNMENT = re.compile(r".+ \(\d+\)", re.DOTALL)
BRIGHTSPACE_ITEM = re.compile(r".+ Points Grade\b.*", re.DOTALL | re.IGNORECASE)
MAX_POINTS = re.compile(r"MaxPoints:([\d.]+)", re.IGNORECASE)
READ_ONLY, POSSIBLE = "(read only)", "points possible"
DECIMAL = re.compile(r"\d+([.,])\d+")
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def heading(text: str) -> str:
    """Return a column's heading as it is compared."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Gradebook:
    """A gradebook as a course site exported it.

    Attributes:
        path: The file.
        text: Its content.
        encoding: Its encoding.
        column: Number of the column to fill.
    """

    path: Path
    text: CsvText
    encoding: str
    column: int = -1

    @classmethod
    def read(cls, path: Path, column: str | None = None) -> Gradebook:
        """Return the gradebook in a file.

        Args:
            path: CSV file, as a site exports it.
            column: Heading of the column to fill, or its beginning; None for the only one that it
                can be.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no gradebook, or it is not clear which column is meant.
        """
        if not path.is_file():
            raise FileNotFoundError(f"There is no gradebook {path}.")
        data = path.read_bytes()
        encoding = _encoding(data)
        try:
            text = CsvText(data.decode(encoding))
        except ValueError as error:
            raise ValueError(f"The gradebook {path} can't be read: {error}") from error
        if len(text.rows) < 2:
            raise ValueError(f"{path} has no rows; expected the CSV that the course site exports.")
        book = cls(path, text, encoding)
        return replace(book, column=book._number_of(column))

    @cached_property
    def headings(self) -> list[str]:
        """Headings of all columns, as they are compared."""
        return [heading(cell.value) for cell in self.text.rows[0]]

    def _number_of(self, column: str | None) -> int:
        cells = [cell.value for cell in self.text.rows[0]]
        if column is None:
            found = self._likely_columns(cells)
            remedy = "Say which one with --column."
        else:
            wanted = heading(column)
            found = [place for place, name in enumerate(self.headings) if name == wanted]
            if not found:
                found = [n for n, name in enumerate(self.headings) if name.startswith(wanted)]
            remedy = f"--column {column!r} is not the beginning of exactly one."
        found = [place for place in found if place in self._fillable]
        if len(found) != 1:
            some = ", ".join(repr(cells[place]) for place in self._fillable)
            raise ValueError(
                f"It is not clear which column of {self.path} is to be filled. {remedy} Those that "
                f"can be: {some or 'none'}."
            )
        return found[0]

    def _likely_columns(self, cells: Sequence[str]) -> list[int]:
        """Return the columns that by their headings may be the assignment's."""
        if "grade" in self.headings and "identifier" in self.headings:  # Moodle's worksheet
            return [self.headings.index("grade")]
        for pattern in (BRIGHTSPACE_ITEM, CANVAS_ASSIGNMENT):
            if likely := [n for n, name in enumerate(cells) if pattern.fullmatch(name)]:
                return likely
        return self._fillable

    @cached_property
    def _fillable(self) -> list[int]:
        """Numbers of the columns that are neither ids nor names, and that the site reads."""
        others = {name for names in (*ID_COLUMNS.values(), *NAME_COLUMNS) for name in names}
        possible = self._row_of_possible
        read_only = {
            place
            for place, cell in enumerate(self.text.rows[possible] if possible else ())
            if cell.value.strip() == READ_ONLY
        }
        return [
            place
            for place, name in enumerate(self.headings)
            if name and name not in others | NOT_OF_GRADES and place not in read_only
        ]

    @cached_property
    def _row_of_possible(self) -> int | None:
        """Number of Canvas's row with the points that are possible."""
        for place, row in enumerate(self.text.rows[:4]):
            if place and heading(row[0].value) == POSSIBLE:
                return place
        return None

    @cached_property
    def students(self) -> list[int]:
        """Numbers of the rows that are students'."""
        by_id = {column for kind in ID_COLUMNS for column in self.id_columns(kind)}
        columns = by_id | set(self._name_columns)
        return [
            place
            for place, row in enumerate(self.text.rows)
            if place
            and place != self._row_of_possible
            and any(column < len(row) and row[column].value.strip() for column in columns)
        ]

    def id_columns(self, kind: str) -> list[int]:
        """Return the numbers of the columns that may hold a kind of id."""
        found = [n for n, name in enumerate(self.headings) if name in ID_COLUMNS[kind]]
        if kind == "moodle" and not found and self._is_of_people(0):
            return [0]  # the worksheet in another language
        return found

    def _is_of_people(self, column: int) -> bool:
        """Return whether each cell is one word, the same in all rows, and a number."""
        cells = [row[column].value for row in self.text.rows[1:] if column < len(row)]
        words = {re.sub(r"\d+$", "", cell) for cell in cells}
        return len(words) == 1 and words != {""} and all(cell[-1:].isdigit() for cell in cells)

    @cached_property
    def _name_columns(self) -> list[int]:
        for names in NAME_COLUMNS:
            if all(name in self.headings for name in names):
                return [self.headings.index(name) for name in names]
        return []

    def value(self, row: int, column: int) -> str:
        """Return what a cell says; "" where the row is too short."""
        cells = self.text.rows[row]
        return cells[column].value.strip() if column < len(cells) else ""

    def name_in(self, row: int) -> str:
        """Return the student's name in a row."""
        parts = [self.value(row, column) for column in self._name_columns]
        return ", ".join(filter(None, parts))

    def title_of(self, row: int) -> str:
        """Return what a row is called in messages."""
        by_id = (c for kind in ID_COLUMNS for c in self.id_columns(kind))
        return self.name_in(row) or next(
            (self.value(row, column) for column in by_id if self.value(row, column)),
            f"row {row + 1}",
        )

    @cached_property
    def decimal_sign(self) -> str:
        """A comma where the file writes numbers with one, and no point."""
        signs = {
            found[1]
            for row in self.text.rows[1:]
            for cell in row
            if (found := DECIMAL.fullmatch(cell.value.strip()))
        }
        return "," if signs == {","} else "."

    @cached_property
    def possible(self) -> float | None:
        """Points that the column counts to, where the file says so."""
        found = MAX_POINTS.search(self.title)
        text = found[1] if found else ""
        if self._row_of_possible is not None:
            text = self.value(self._row_of_possible, self.column)
        elif "maximum grade" in self.headings and self.students:
            text = self.value(self.students[0], self.headings.index("maximum grade"))
        return as_number(text)

    @property
    def title(self) -> str:
        """Heading of the column to fill."""
        return self.text.rows[0][self.column].value


def as_number(text: str) -> float | None:
    """Return the number that a cell holds; None for anything else."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _encoding(data: bytes) -> str:
    """Return an encoding by which the file is the same when it is written again."""
    encoding = next((one for mark, one in MARKS if data.startswith(mark)), "utf-8")
    try:
        if data.decode(encoding).encode(encoding) == data:
            return encoding
    except UnicodeError:
        pass
    return "latin-1"
