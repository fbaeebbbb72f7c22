"""The class on one page: who has what, which checks fail, what is worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from cifar_lab.grading.reports import class_alike, class_checks, class_matters, class_pictures
from cifar_lab.grading.reports.charts import patterns
from cifar_lab.grading.reports.figures import percentage
from cifar_lab.grading.reports.markup import Markup, document, joined, tag
from cifar_lab.grading.reports.points import needs_a_look, percent
from cifar_lab.grading.reports.similar import likeness
from cifar_lab.grading.reports.student_table import student_table
from cifar_lab.grading.reports.style import CLASS, SCRIPT
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.wording import counted, duration


def class_page(
    grades: Sequence[Grade],
    without_grade: Iterable[str] = (),
    waiting: Iterable[str] = (),
    students: Iterable[Any] = (),
    ignored: Iterable[tuple[str, str]] = (),
    submissions: Path | None = None,
) -> str:
    """Return a page for the instructor that needs no other file.

    Everything that comes from students is shown as text; only this page's own style and script
    work in it. It leads to each student's `report.html`, in a folder of the submission's name.

    Args:
        grades: Grades of the class, with the instructor's word on them.
        without_grade: Submissions at which the grader itself failed.
        waiting: Submissions that the grader did not reach.
        students: Students as they were collected, see `collecting`; alike cells are shown from
            their folders.
        ignored: Names of what was not collected, each with the reason.
        submissions: Folder of all submissions, where students are not given.
    """
    grades = sorted(grades, key=lambda grade: grade.submission.casefold())
    without_grade, waiting = sorted(without_grade), sorted(waiting)
    assignments = sorted({grade.assignment.upper() for grade in grades})
    title = f"Assignment {' and '.join(assignments)}: the class" if assignments else "The class"
    students, alike = list(students), likeness(grades)
    folders = (
        {}
        if submissions is None
        else {one.submission: submissions / one.submission for one in grades}
    )
    problems = {one.folder: one.problem for one in students if one.problem}
    late = {one.folder for one in students if one.late}
    folders |= {one.folder: one.path for one in students}
    sections = [
        ("checks", "Checks", class_checks.checks(grades)),
        (
            "not-made",
            "Not made, and grader errors",
            class_matters.open_matters(grades, without_grade, waiting, problems),
        ),
        ("hints", "Worth a look", class_matters.hints(grades)),
        ("alike", "Alike", class_alike.alike(alike, folders)),
        ("slow", "Slowest to grade", class_matters.slowest(grades)),
        ("students", "Students", student_table(grades, without_grade, waiting, late)),
        ("files", "Files", class_matters.files(students, list(ignored))),
    ]
    shown = [(name, heading, content) for name, heading, content in sections if content]
    links = [tag("li", tag("a", heading, href=f"#{name}")) for name, heading, _ in shown]
    body = [
        patterns(),
        tag("header", tag("h1", title), _summary(grades, without_grade, waiting)),
        tag("nav", tag("ul", *links), aria_label="Sections", class_="no-print"),
        tag(
            "main",
            class_pictures.pictures(grades),
            *(
                tag("section", tag("h2", heading, id=name), content, aria_labelledby=name)
                for name, heading, content in shown
            ),
        ),
        _footer(grades),
    ]
    return document(title, joined(body), style=CLASS, script=SCRIPT)


def _summary(
    grades: Sequence[Grade], without_grade: Sequence[str], waiting: Sequence[str]
) -> Markup:
    shares = [share for share in map(percent, grades) if share is not None]
    measured = [percentage(grade, "measured_accuracy") for grade in grades]
    accuracies = [one for one in measured if one is not None]
    total = len(grades) + len(without_grade) + len(waiting)
    tiles = [(f"{len(grades):,} of {total:,}", "submissions have a grade")]
    if shares:
        tiles.append((f"{median(shares):.0f} %", f"median; mean {fmean(shares):.0f} %"))
        full = sum(share >= 100 for share in shares)
        tiles.append((f"{full:,}", "with full points"))
    if accuracies:
        tiles.append(
            (f"{median(accuracies):.1f} %", f"median accuracy; best {max(accuracies):.1f} %")
        )
    look = sum(map(needs_a_look, grades))
    tiles.append((f"{look:,}", "need a look: a check was not made"))
    tiles.append((f"{len(without_grade):,}", "grader errors: no grade"))
    if waiting:
        tiles.append((f"{len(waiting):,}", "not graded yet"))
    return tag(
        "ul",
        *(tag("li", tag("b", value), tag("small", text)) for value, text in tiles),
        class_="tiles",
    )


def _footer(grades: Sequence[Grade]) -> Markup:
    levels = sorted({grade.isolation for grade in grades})
    versions = sorted({f"{name} {one}" for grade in grades for name, one in grade.versions.items()})
    seconds = sum(grade.seconds for grade in grades)
    text = (
        f"{counted(len(grades), 'grade')}, {duration(seconds)} of grading; isolation: "
        f"{', '.join(levels) or 'none'}; {', '.join(versions)}. This page is for the instructor: "
        "it names all students."
    )
    return tag("footer", tag("small", text))
