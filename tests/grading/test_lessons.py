"""The notebooks as they are handed out, and done, in the eyes of the grader."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from notebooks.done import HANDOUTS, done, quick_parameters, read

from cifar_lab.cli.notebook import run_notebook
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import PASSED, Grade

ASSIGNMENTS = {"01": "a", "02": "b"}  # by the beginning of the notebook's name
NOTEBOOK_ITSELF = {"submission_readable", "cells_in_order", "notebook_runs"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.parametrize("number", ASSIGNMENTS),
]


def lesson(number: str) -> Path:
    (path,) = (path for path in HANDOUTS if path.stem.startswith(number))
    return path


def graded(notebook: NotebookNode, assignment: str, folder: Path) -> Grade:
    """Run a notebook on few drawn images, and grade what it hands in together with itself."""
    path = folder / "lesson.ipynb"
    nbformat.write(notebook, path)
    parameters = quick_parameters(notebook) | {"results_folder": str(folder / "runs")}
    executed = run_notebook(path, folder / "out", parameters) / path.name
    handed_in = folder / "runs" / f"submission-{assignment}"  # missing where nothing is handed in
    handed_in.mkdir(parents=True, exist_ok=True)
    shutil.copy(executed, handed_in)
    return grade_submission(handed_in, Settings(assignment, dataset="synthetic"))


def test_a_hand_out_earns_what_a_notebook_that_runs_does_and_nothing_for_its_exercises(
    number: str, tmp_path: Path
) -> None:
    grade = graded(read(lesson(number)), ASSIGNMENTS[number], tmp_path)
    assert {one.check for one in grade.verdicts if one.earned} == NOTEBOOK_ITSELF
    assert {one.check for one in grade.verdicts if one.status == PASSED} == NOTEBOOK_ITSELF
    assert all(one.remedy for one in grade.verdicts if one.status != PASSED), "what is to be done"


def test_a_done_notebook_earns_all_points(number: str, tmp_path: Path) -> None:
    grade = graded(done(lesson(number)), ASSIGNMENTS[number], tmp_path)
    assert [f"{one.check}: {one.seen}" for one in grade.verdicts if one.status != PASSED] == []
    assert grade.earned == grade.possible == 100
