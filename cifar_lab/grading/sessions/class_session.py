"""A class as a pytest session, so that pytest-xdist spreads it: one test per submission.

A test passes when its submission has a grade, whatever the grade is. Everything else, even a
worker that died, is the grader's own error.
"""

from __future__ import annotations

import os
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports import summary
from cifar_lab.grading.sessions.class_list import ClassList
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.sessions.keeping import forget, keep, keep_error, kept_grade
from cifar_lab.grading.settings_file import settings_of

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
    kept = None if class_.again else kept_grade(reports, folder, settings)
    if kept is not None:
        record_property("summary", kept)
        return
    try:
        forget(reports)
        grade = replace(grade_submission(folder, settings), submission=name)
        keep(grade, reports)
    except Exception:
        keep_error(traceback.format_exc(), reports)
        raise
    record_property("summary", summary(grade))
