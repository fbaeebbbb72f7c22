"""A course site's gradebook: one column of the CSV that it exported is filled, all else is kept.

Rows are found by the site's own numbers: Canvas's `ID`, Moodle's `Identifier` (Participant 123),
Brightspace's `OrgDefinedId`, and by student ids and addresses where the submissions have those.
Only a file that has none of the submissions' numbers is matched by names, and says so.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from cifar_lab.grading.collecting.students import Person, Student
from cifar_lab.grading.csv_text import CsvText
from cifar_lab.grading.reports.points import number, scaled, total
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.files import write_atomically
from cifar_lab.utils.wording import counted

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
CHECKED_BY_NAME = ("moodle", "brightspace")  # another number may be the same: of a group
SURE_KINDS = {"canvas", "moodle", "sid", "email"}  # a file with such a column has this very id
NOT_OF_GRADES = {"section", "sections", "status", "end-of-line indicator", "maximum grade"}
CANVAS_ASSIGNMENT = re.compile(r".+ \(\d+\)", re.DOTALL)
BRIGHTSPACE_ITEM = re.compile(r".+ Points Grade\b.*", re.DOTALL | re.IGNORECASE)
MAX_POINTS = re.compile(r"MaxPoints:([\d.]+)", re.IGNORECASE)
MOODLE_PERSON = re.compile(r"\D*?(\d+)")
READ_ONLY, POSSIBLE = "(read only)", "points possible"
KEPT_CELLS = {"ex", "n/a"}  # Canvas: excused; not assigned to this student
KNOWN_SHARE = 0.9  # of all points: where less could be looked at, no grade is filled in
DECIMAL = re.compile(r"\d+([.,])\d+")
MOST_TOLD = 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def heading(text: str) -> str:
    """Return a column's heading as it is compared."""
    return " ".join(text.casefold().split())


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in an order that doesn't depend on which comes first."""
    return tuple(sorted(re.findall(r"\w+", name.casefold())))


def joined(name: str) -> str:
    """Return a name as Canvas writes it into files' names."""
    return re.sub(r"\W", "", name.casefold())


@dataclass
class Filled:
    """A filled copy of a gradebook, and what was not filled.

    Attributes:
        source: File that was exported.
        column: Heading of the column that was filled.
        content: Content of the copy.
        cells: Cells that were filled: who, and the points.
        changed: Those among them that held something else before.
        kept: Rows that were left as they are, each with the reason.
        without_row: Submissions that have no row, each with the reason.
        without_submission: Rows of students of whom there is no submission.
        open_points: Students with checks that could not be made, and what was counted.
        by_name: Whether rows were found by names.
        scale: Points that the column counts to, where the grades count to others.
    """

    source: Path
    column: str
    content: bytes = b""
    cells: list[tuple[str, float]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    without_row: list[tuple[str, str]] = field(default_factory=list)
    without_submission: list[str] = field(default_factory=list)
    open_points: list[str] = field(default_factory=list)
    by_name: bool = False
    scale: tuple[float, float] | None = None

    def write(self, folder: Path) -> Path:
        """Write the copy under a name that is free, or that has this content already.

        Raises:
            OSError: The folder can't be written.
        """
        count = 1
        while True:
            mark = "" if count == 1 else f"-{count}"
            path = folder / f"{self.source.stem}-filled{mark}{self.source.suffix}"
            if not path.exists():
                write_atomically(path, lambda file: file.write(self.content))
                return path
            if path.read_bytes() == self.content:
                return path
            count += 1

    def told(self, path: Path) -> Iterator[str]:
        """Yield the lines that say what was filled, and what was not and why."""
        column = shown_name(self.column)
        yield f"Gradebook: {counted(len(self.cells), 'cell')} of {column!r} filled in {path}."
        if self.by_name:
            yield (
                "  Rows were found by NAMES, since the file has none of the submissions' numbers: "
                "look through them."
            )
        if self.scale is not None:
            yield (
                f"  The column counts to {number(self.scale[0])}, the grades to "
                f"{number(self.scale[1])}: points were NOT scaled."
            )
        yield from _list("Another value before", self.changed)
        yield from _list("Counted by the checks that could be made", self.open_points)
        yield from _list("Left as it was", map(_with_reason, self.kept))
        yield from _list("No row in the file", map(_with_reason, self.without_row))
        yield from _list("No submission", self.without_submission)


def _with_reason(pair: tuple[str, str]) -> str:
    return f"{pair[0]} ({pair[1]})"


def _list(what: str, names: Iterator[str] | Sequence[str]) -> Iterator[str]:
    names = [shown_name(name) for name in names]
    if names:
        more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
        yield f"  {what} ({len(names)}): {', '.join(names[:MOST_TOLD])}{more}"


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

    def filled(self, grades: Mapping[str, Grade], students: Sequence[Student]) -> Filled:
        """Return a copy in which the column holds the points of those who have a grade.

        Args:
            grades: Grades, with the instructor's word on them, by the submission's name.
            students: All submissions.
        """
        filled = Filled(self.path, self.text.rows[0][self.column].value)
        matches = Matching(self, students)
        filled.by_name = matches.by_name
        changes: dict[tuple[int, int], str] = {}
        for student in students:
            grade = grades.get(student.folder)
            for place, person in enumerate(student.people):
                row, reason = matches.row_of(student, place)
                title = student.folder if not student.others else f"{student.folder}: {person.name}"
                if row is None:
                    filled.without_row.append((title, reason))
                elif grade is None:
                    filled.kept.append((title, student.problem or "no grade"))
                elif reason := _why_unknown(grade) or self._why_kept(row):
                    filled.kept.append((title, reason))
                else:
                    changes[row, self.column] = self._note(filled, title, grade, row)
        taken = matches.taken
        filled.without_submission = [
            self.title_of(row) for row in self.students if row not in taken
        ]
        filled.scale = self._other_scale(grades)
        filled.content = self.text.replaced(changes).encode(self.encoding)
        return filled

    def _note(self, filled: Filled, title: str, grade: Grade, row: int) -> str:
        """Note what is filled into a row, and return it."""
        points = scaled(grade)
        filled.cells.append((title, points))
        text, before = number(points), self.value(row, self.column)
        if before and not _is_same(before, points):
            filled.changed.append(f"{title} {before} now {text}")
        if grade.not_made:
            made = f"{number(grade.earned)} of {number(grade.possible)}"
            filled.open_points.append(f"{title} {text} for {made}")
        return text.replace(".", self._decimal_sign)

    def _why_kept(self, row: int) -> str:
        """Return why a row's cell is left as it is; "" where it is not."""
        if self.column >= len(self.text.rows[row]):
            return "the row has fewer cells than the heading"
        before = self.value(row, self.column)
        return f"it says {before}" if before.casefold() in KEPT_CELLS else ""

    @cached_property
    def _decimal_sign(self) -> str:
        """A comma where the file writes numbers with one, and no point."""
        signs = {
            found[1]
            for row in self.text.rows[1:]
            for cell in row
            if (found := DECIMAL.fullmatch(cell.value.strip()))
        }
        return "," if signs == {","} else "."

    def _other_scale(self, grades: Mapping[str, Grade]) -> tuple[float, float] | None:
        """Return the points that the column counts to and the grades, where these differ."""
        totals = {total(grade) for grade in grades.values()}
        found = MAX_POINTS.search(self.text.rows[0][self.column].value)
        text = found[1] if found else ""
        if self._row_of_possible is not None:
            text = self.value(self._row_of_possible, self.column)
        elif "maximum grade" in self.headings and self.students:
            text = self.value(self.students[0], self.headings.index("maximum grade"))
        possible = _number(text)
        if possible is None or not totals or max(totals) == possible:
            return None
        return possible, max(totals)


class Matching:
    """Which row is whose.

    Args:
        book: Gradebook.
        students: All submissions.

    Attributes:
        by_name: Whether names decide, since the file has none of the submissions' numbers.
    """

    def __init__(self, book: Gradebook, students: Sequence[Student]) -> None:
        self._book = book
        self._indexes: dict[tuple[str, int], dict[str, list[int]]] = {}
        people = {
            (student.folder, place): person
            for student in students
            for place, person in enumerate(student.people)
        }
        self._rows = {key: self._by_id(person) for key, person in people.items()}
        kinds = {kind for person in people.values() for kind in person.ids}
        has_ids = any(book.id_columns(kind) for kind in kinds & SURE_KINDS)
        self.by_name = not has_ids and not any(self._rows.values())
        if self.by_name:
            self._rows = {key: self._by_name(person) for key, person in people.items()}
        self._claims = Counter(row for rows in self._rows.values() for row in rows)

    @property
    def taken(self) -> set[int]:
        """Rows that some submission may be meant by."""
        return set(self._claims)

    def row_of(self, student: Student, place: int) -> tuple[int | None, str]:
        """Return the row of one of a submission's people; else None, and the reason."""
        rows = self._rows[student.folder, place]
        if not rows:
            return None, f"nobody in the file has this {'name' if self.by_name else 'number'}"
        if len(rows) > 1:
            return None, f"several rows: {', '.join(map(self._book.title_of, sorted(rows)))}"
        (row,) = rows
        if self._claims[row] > 1:
            return None, f"several submissions for {self._book.title_of(row)}"
        return row, ""

    def _by_id(self, person: Person) -> set[int]:
        """Return the rows that have one of a person's ids."""
        found: set[int] = set()
        for kind, value in person.ids.items():
            for column in self._book.id_columns(kind):
                rows = self._index(kind, column).get(_plain_id(kind, value), [])
                found |= {row for row in rows if self._may_be(person, kind, row)}
        return found

    def _index(self, kind: str, column: int) -> dict[str, list[int]]:
        """Return the rows by the ids in a column."""
        if (kind, column) not in self._indexes:
            index = self._indexes[kind, column] = {}
            for row in self._book.students:
                if value := _plain_id(kind, self._book.value(row, column)):
                    index.setdefault(value, []).append(row)
        return self._indexes[kind, column]

    def _may_be(self, person: Person, kind: str, row: int) -> bool:
        """Return whether a row may be meant, where a number could be that of something else."""
        name = self._book.name_in(row)
        if kind not in CHECKED_BY_NAME or not name or not person.name:
            return True
        return bool(set(words_of(name)) & set(words_of(person.name)))

    def _by_name(self, person: Person) -> set[int]:
        if not person.name:
            return set()
        words, together = words_of(person.name), joined(person.name)
        return {
            row
            for row in self._book.students
            if (name := self._book.name_in(row))
            and (words_of(name) == words or joined(name) == together)
        }


def _why_unknown(grade: Grade) -> str:
    """Return why a grade says too little to be one; "" where it says enough."""
    if grade.possible >= KNOWN_SHARE * total(grade):
        return ""
    made = f"{number(grade.possible)} of {number(total(grade))} points"
    return f"checks for only {made} could be made: it needs your word"


def _plain_id(kind: str, value: str) -> str:
    """Return an id as it is compared."""
    value = value.strip().casefold()
    if kind == "moodle":
        found = MOODLE_PERSON.fullmatch(value)
        return found[1] if found else ""
    return value.removeprefix("#")  # Brightspace's mark


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _is_same(before: str, points: float) -> bool:
    return _number(before) == points


def _encoding(data: bytes) -> str:
    """Return an encoding by which the file is the same when it is written again."""
    encoding = next((one for mark, one in MARKS if data.startswith(mark)), "utf-8")
    try:
        if data.decode(encoding).encode(encoding) == data:
            return encoding
    except UnicodeError:
        pass
    return "latin-1"
