"""The filled copy of a gradebook, and what was not filled and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cifar_lab.grading.collecting.students import Student
from cifar_lab.grading.gradebook.book import Gradebook, as_number
from cifar_lab.grading.gradebook.matching import Matching
from cifar_lab.grading.reports.points import number, scaled, total
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.files import write_atomically
from cifar_lab.utils.wording import counted

KEPT_CELLS = {"ex", "n/a"}  # Canvas: excused; not assigned to this student
KNOWN_SHARE = 0.9  # of all points: where less could be looked at, no grade is filled in
MOST_TOLD = 20


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


def _list(what: str, names: Iterable[str]) -> Iterator[str]:
    shown = [shown_name(name) for name in names]
    if shown:
        more = f" and {len(shown) - MOST_TOLD} more" if len(shown) > MOST_TOLD else ""
        yield f"  {what} ({len(shown)}): {', '.join(shown[:MOST_TOLD])}{more}"


def fill(book: Gradebook, grades: Mapping[str, Grade], students: Sequence[Student]) -> Filled:
    """Return a copy in which the column holds the points of those who have a grade.

    Args:
        book: Gradebook.
        grades: Grades, with the instructor's word on them, by the submission's name.
        students: All submissions.
    """
    filled = Filled(book.path, book.title)
    matches = Matching(book, students)
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
            elif reason := _why_unknown(grade) or _why_kept(book, row):
                filled.kept.append((title, reason))
            else:
                changes[row, book.column] = _note(filled, book, title, grade, row)
    taken = matches.taken
    filled.without_submission = [book.title_of(row) for row in book.students if row not in taken]
    filled.scale = _other_scale(book, grades)
    filled.content = book.text.replaced(changes).encode(book.encoding)
    return filled


def _note(filled: Filled, book: Gradebook, title: str, grade: Grade, row: int) -> str:
    """Note what is filled into a row, and return it."""
    points = scaled(grade)
    filled.cells.append((title, points))
    text, before = number(points), book.value(row, book.column)
    if before and as_number(before) != points:
        filled.changed.append(f"{title} {before} now {text}")
    if grade.not_made:
        made = f"{number(grade.earned)} of {number(grade.possible)}"
        filled.open_points.append(f"{title} {text} for {made}")
    return text.replace(".", book.decimal_sign)


def _why_kept(book: Gradebook, row: int) -> str:
    """Return why a row's cell is left as it is; "" where it is not."""
    if book.column >= len(book.text.rows[row]):
        return "the row has fewer cells than the heading"
    before = book.value(row, book.column)
    return f"it says {before}" if before.casefold() in KEPT_CELLS else ""


def _other_scale(book: Gradebook, grades: Mapping[str, Grade]) -> tuple[float, float] | None:
    """Return the points that the column counts to and the grades, where these differ."""
    most = max(map(total, grades.values()), default=None)
    if book.possible is None or most is None or most == book.possible:
        return None
    return book.possible, most


def _why_unknown(grade: Grade) -> str:
    """Return why a grade says too little to be one; "" where it says enough."""
    if grade.possible >= KNOWN_SHARE * total(grade):
        return ""
    made = f"{number(grade.possible)} of {number(total(grade))} points"
    return f"checks for only {made} could be made: it needs your word"
