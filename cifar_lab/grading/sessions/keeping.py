"""One submission's results: a grade that is still current, a new grade, or the grader's error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import GRADE, read_grade, summary, write_reports
from cifar_lab.grading.rescoring import rescored
from cifar_lab.grading.sessions.fingerprint import fingerprint
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.files import write_text

GRADER_ERROR_FILE = "grader-error.txt"
SHOWN = ".shown"  # digest of the grade that pages show, if another one than in `grade.json`
BEST_ISOLATION = "bubblewrap"


def is_current(grade: Grade | None, folder: Path, settings: Settings) -> bool:
    """Return whether a grade is of these files, checks and settings, whatever the points.

    Better isolation than this machine has, as a worker of a cluster may have, does no harm.
    """
    if grade is None or rescored(grade, settings) is None:
        return False
    isolation = BEST_ISOLATION if grade.isolation == BEST_ISOLATION else isolation_level()
    return grade.fingerprint == fingerprint(folder, settings, isolation=isolation)


def kept_grade(reports: Path, folder: Path, settings: Settings) -> str | None:
    """Return the line on a grade that is still current; None where there is none."""
    grade = read_grade(reports)
    if grade is None or not is_current(grade, folder, settings):
        return None
    return f"unchanged: {summary(rescored(grade, settings) or grade)}"


def forget(reports: Path) -> None:
    """Remove an earlier grade: whatever comes next, it no longer counts.

    Raises:
        OSError: The folder can't be written.
    """
    for earlier in (GRADE, SHOWN):
        (reports / earlier).unlink(missing_ok=True)


def keep(grade: Grade, reports: Path) -> None:
    """Write a grade in the place of an earlier one.

    Raises:
        OSError: The folder can't be written.
    """
    forget(reports)
    write_reports(grade, reports)
    (reports / GRADER_ERROR_FILE).unlink(missing_ok=True)


def keep_error(error: str, reports: Path) -> None:
    """Write down what the grader itself failed at, where that can be written."""
    with suppress(OSError):
        write_text(reports / GRADER_ERROR_FILE, error)
