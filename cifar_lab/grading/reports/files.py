"""The files of a grade and of a class: which there are, and how they are written and read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cifar_lab.grading.reports.class_page import class_page
from cifar_lab.grading.reports.class_parts import PAGE
from cifar_lab.grading.reports.for_gradescope import gradescope
from cifar_lab.grading.reports.for_tests import junit
from cifar_lab.grading.reports.student_page import page
from cifar_lab.grading.reports.table import grades_csv
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.files import write_text

GRADE, JUNIT, GRADESCOPE = "grade.json", "junit.xml", "results.json"
GRADES, CLASS = "grades.csv", "class.html"
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows UTF-8


def write_reports(grade: Grade, folder: Path, shown: Grade | None = None) -> None:
    """Write all of one student's files; `grade.json`, by which a grade counts as done, comes last.

    Args:
        grade: Grade as the grader found it, which `grade.json` holds.
        folder: Folder of the student's results.
        shown: Grade with the instructor's word on it, which all other files show; None for none.

    Raises:
        OSError: The folder can't be written.
    """
    shown = grade if shown is None else shown
    texts = {
        JUNIT: junit(shown),
        PAGE: page(shown),
        GRADESCOPE: json.dumps(gradescope(shown), indent=1),
        GRADE: json.dumps(grade.to_dict(), indent=1),
    }
    for name, text in texts.items():
        write_text(folder / name, text)


def read_grade(folder: Path) -> Grade | None:
    """Return the grade that was written to a folder; None where none can be read."""
    try:
        return Grade.from_dict(json.loads((folder / GRADE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write_class(
    out: Path,
    grades: Sequence[Grade],
    without_grade: Iterable[str] = (),
    waiting: Iterable[str] = (),
    students: Iterable[Any] = (),
    ignored: Iterable[tuple[str, str]] = (),
    submissions: Path | None = None,
) -> None:
    """Write the class's table and page.

    Args:
        out: Folder of the class's results.
        grades: Grades of the class, with the instructor's word on them.
        without_grade: Submissions at which the grader itself failed.
        waiting: Submissions that the grader did not reach.
        students: Students as they were collected, see `collecting`.
        ignored: Names of what was not collected, each with the reason.
        submissions: Folder of all submissions, where students are not given.

    Raises:
        OSError: The folder can't be written.
    """
    without_grade, waiting = list(without_grade), list(waiting)
    students, ignored = list(students), list(ignored)
    table = grades_csv(grades, without_grade, waiting, students)
    write_text(out / GRADES, BYTE_ORDER_MARK + table)
    page = class_page(grades, without_grade, waiting, students, ignored, submissions)
    write_text(out / CLASS, page)
