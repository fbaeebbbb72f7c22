"""A class as a pytest session, so that pytest-xdist spreads it: one test per submission.

A test passes when its submission has a grade, whatever the grade is. Everything else, even a
worker that died, is the grader's own error.
"""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import GRADE, read_grade, summary, write_reports
from cifar_lab.grading.rescoring import rescored
from cifar_lab.grading.sessions.class_list import ClassList, is_current
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings_file import settings_of
from cifar_lab.utils.files import write_text

GRADER_ERROR_FILE = "grader-error.txt"
SHOWN = ".shown"  # in a student's results: digest of the grade that pages show, if another one
KEPT = "unchanged: "
ISOLATION = "CIFAR_LAB_ISOLATION"  # of the controlling process; none of its workers may have less


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the same list in every worker, whatever is graded already."""
    names = list(ClassList.read(Path(metafunc.config.getoption("submissions"))).folders)
    metafunc.parametrize("name", names, ids=[f"{number:04}" for number in range(len(names))])


def test_has_a_grade(name: str, request: pytest.FixtureRequest, record_property: Any) -> None:
    """Grade it, unless the same files have a grade by the same checks and settings."""
    option = request.config.getoption
    class_, out = ClassList.read(Path(option("submissions"))), Path(option("reports"))
    if isolation_level() != os.environ[ISOLATION]:
        raise OSError(f"This process has the isolation {isolation_level()}, not the class's.")
    folder, reports = class_.folders[name], out / name
    settings = settings_of(request.config)
    grade = read_grade(reports)
    if grade is not None and not class_.again and is_current(grade, folder, settings):
        record_property("summary", KEPT + summary(rescored(grade, settings) or grade))
        return
    try:
        for earlier in (GRADE, SHOWN):
            (reports / earlier).unlink(missing_ok=True)
        grade = replace(grade_submission(folder, settings), submission=name)
        write_reports(grade, reports)
    except Exception:
        with suppress(OSError):
            write_text(reports / GRADER_ERROR_FILE, traceback.format_exc())
        raise
    (reports / GRADER_ERROR_FILE).unlink(missing_ok=True)
    record_property("summary", summary(grade))
