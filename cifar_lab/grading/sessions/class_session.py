"""A class as a pytest session, so that pytest-xdist spreads it: one test per submission.

A test passes when its submission has a grade, whatever the grade is. Everything else, even a
worker that died, is the grader's own error.
"""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import read_grade, summary, write_reports
from cifar_lab.grading.sessions.grade import fingerprint, grade_submission
from cifar_lab.grading.settings_file import settings_of
from cifar_lab.utils.files import write_text

LOCK = ".cifar-lab-grades.lock"  # in a folder of results
GRADER_ERROR_FILE = "grader-error.txt"
KEPT = "unchanged: "
ISOLATION = "CIFAR_LAB_ISOLATION"  # of the controlling process; none of its workers may have less


def submission_names(submissions: Path, out: Path) -> list[str]:
    """Return the sub-folders, in order, without hidden ones and without those with results."""
    return sorted(
        path.name
        for path in submissions.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "__"))
        and path.resolve() != out.resolve()
        and not os.path.exists(path / LOCK)  # noqa: PTH110 (False where it can't be looked at)
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the same list in every worker, whatever is graded already."""
    option = metafunc.config.getoption
    names = submission_names(Path(option("submissions")), Path(option("reports")))
    metafunc.parametrize("name", names, ids=[f"{number:04}" for number in range(len(names))])


def test_has_a_grade(name: str, request: pytest.FixtureRequest, record_property: Any) -> None:
    """Grade it, unless the same files have a grade by the same checks and settings."""
    option = request.config.getoption
    submissions, out = Path(option("submissions")), Path(option("reports"))
    if isolation_level() != os.environ[ISOLATION]:
        raise OSError(f"This process has the isolation {isolation_level()}, not the class's.")
    folder, reports = submissions / name, out / name
    settings = settings_of(request.config)
    grade = read_grade(reports)
    if grade is not None and grade.fingerprint == fingerprint(folder, settings):
        record_property("summary", KEPT + summary(grade))
        return
    try:
        grade = grade_submission(folder, settings)
        write_reports(grade, reports)
    except Exception:
        with suppress(OSError):
            write_text(reports / GRADER_ERROR_FILE, traceback.format_exc())
        raise
    (reports / GRADER_ERROR_FILE).unlink(missing_ok=True)
    record_property("summary", summary(grade))
