"""The table of all students on the class page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from cifar_lab.grading.reports.class_parts import ERROR, PAGE, student_link, table_of
from cifar_lab.grading.reports.figures import hints, minutes, parameters, percentage
from cifar_lab.grading.reports.markup import Markup, tag
from cifar_lab.grading.reports.points import needs_a_look, number, percent
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.wording import counted

STATUS_PLACE = 3  # behind the name and the points, which are on a telephone's screen
STATUS = {"graded": "✓", "needs a look": "?", "grader error": "!", "not graded yet": "…"}


@dataclass(frozen=True)
class Column:
    """A column of figures or of texts.

    Attributes:
        title: Heading.
        value: Returns what a grade is sorted by; None where there is nothing.
        form: Format of a figure; "" for a text.
        text: Returns what is shown where that is more than the value.
    """

    title: str
    value: Callable[[Grade], float | str | None]
    form: str = ""
    text: Callable[[Grade], str] | None = None

    def cell(self, grade: Grade) -> Markup:
        """Return a grade's cell."""
        value = self.value(grade)
        if not self.form:
            return tag("td", str(value or ""), class_="why")
        text = "" if value is None else format(value, self.form)
        shown = self.text(grade) if self.text else text
        return tag("td", shown, class_="n", data_v="" if value is None else value)


def _word(grade: Grade) -> str:
    """Return in short what the instructor decided."""
    decided = sum(bool(one.overridden) for one in grade.verdicts)
    late = f"{grade.late_days} d late" if grade.late_days else ""
    less = f"−{number(grade.deduction)}" if grade.deduction else ""
    points = f"points of {decided}" if decided else ""
    return ", ".join(filter(None, [late, less, points, "comment" if grade.comment else ""]))


def _not_made(grade: Grade) -> str:
    points = number(sum(one.points for one in grade.not_made))
    return f"{counted(len(grade.not_made), 'check')}, {points} points" if grade.not_made else ""


COLUMNS = (
    Column(
        "Points",
        lambda grade: grade.earned,
        "g",
        lambda grade: f"{number(grade.earned)} of {number(grade.possible)}",
    ),
    Column("%", percent, ".0f"),
    Column("Measured %", lambda grade: percentage(grade, "measured_accuracy"), ".2f"),
    Column("Reported %", lambda grade: percentage(grade, "reported_accuracy"), ".2f"),
    Column("Parameters", parameters, ","),
    Column("Training, min", minutes, ".1f"),
    Column("Grading, s", lambda grade: grade.seconds, ".0f"),
)
TEXTS = (  # left out where nobody has one
    Column("Not made", _not_made),
    Column("Hints", lambda grade: ", ".join(dict.fromkeys(kind for kind, _ in hints(grade)))),
    Column("Your word", _word),
)
ISOLATION = Column("Isolation", lambda grade: grade.isolation)


def student_table(
    grades: Sequence[Grade],
    without_grade: Sequence[str],
    waiting: Sequence[str],
    late: Collection[str] = (),
) -> Markup:
    """Return one row for each student; those without a grade come first.

    Args:
        grades: Grades of the class.
        without_grade: Submissions at which the grader itself failed.
        waiting: Submissions that the grader did not reach.
        late: Submissions that the site calls late.
    """
    by_site = Column("By the site", lambda grade: "late" if grade.submission in late else "")
    columns = [*COLUMNS, *(one for one in (*TEXTS, by_site) if any(map(one.value, grades)))]
    if len({grade.isolation for grade in grades}) > 1:
        columns.append(ISOLATION)
    titles = {one.title: "n" if one.form else None for one in columns}
    names = ["Student", *titles]
    names.insert(STATUS_PLACE, "Status")
    empty = [tag("td", data_v="") for _ in columns]
    rows = [_row(name, "grader error", empty, ERROR) for name in without_grade]
    rows += [_row(name, "not graded yet", empty) for name in waiting]
    for grade in grades:
        status = "needs a look" if needs_a_look(grade) else "graded"
        rows.append(_row(grade.submission, status, [one.cell(grade) for one in columns], PAGE))
    heads = {name: titles.get(name) for name in names}
    return table_of(heads, rows, "Students", class_="students")


def _row(name: str, status: str, cells: Sequence[Markup], file: str | None = None) -> Markup:
    shown = tag("bdi", shown_name(name)) if file is None else student_link(name, file)
    row = [tag("th", shown, scope="row", data_v=shown_name(name)), *cells]
    sign = tag("td", f"{STATUS[status]} {status}", class_="status", data_v=status)
    row.insert(STATUS_PLACE, sign)
    return tag("tr", *row)
