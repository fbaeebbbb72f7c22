"""The checks against submissions whose faults are known: all of them, and no others, are found."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from handed_in.correct import CORRECT, plain_a
from handed_in.mutants import MUTANTS, Mutant
from handed_in.quick import run_forked

from cifar_lab.grading import evidence, reading
from cifar_lab.grading.checks_report import HERE, given_words
from cifar_lab.grading.grade import FUNCTIONS, grade_submission
from cifar_lab.grading.outcomes import RUN_ANSWER, answer_of
from cifar_lab.grading.sandbox import Limits, Outcome
from cifar_lab.grading.settings import Settings, read_settings
from cifar_lab.grading.submissions import Cell
from cifar_lab.grading.table import CHECKS
from cifar_lab.grading.verdicts import (
    BLOCKED,
    FAILED,
    PASSED,
    Grade,
    NotMadeError,
    SubmissionError,
)

QUICK = [name for name, mutant in MUTANTS.items() if mutant.quick]
OFTEN = [name for name in QUICK if MUTANTS[name].often]
RARELY = [name for name in QUICK if not MUTANTS[name].often]
HARMFUL = [name for name, mutant in MUTANTS.items() if not mutant.quick]
LIMITS = Limits(wall_seconds=120, cpu_seconds=120, memory_mib=2048, file_mib=64, processes=32)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sandbox around submissions that mean no harm."""
    monkeypatch.setattr(evidence, "run_isolated", run_forked)
    yield


def settings_for(assignment: str) -> Settings:
    return Settings(assignment, dataset="synthetic", run=LIMITS)


def with_status(grade: Grade, status: str) -> set[str]:
    return {verdict.check for verdict in grade.verdicts if verdict.status == status}


def assert_verdicts(grade: Grade, mutant: Mutant) -> None:
    assert with_status(grade, FAILED) == mutant.failed
    assert with_status(grade, BLOCKED) == mutant.blocked
    others = {verdict.check for verdict in grade.verdicts} - mutant.failed - mutant.blocked
    assert with_status(grade, PASSED) == others
    for verdict in grade.verdicts:
        if verdict.status == FAILED:
            assert verdict.seen and verdict.remedy and verdict.expected
            assert verdict.earned == 0
    told = " ".join(f"{one.seen} {one.remedy}" for one in grade.verdicts if one.status == FAILED)
    assert mutant.says in told


def grade_mutant(name: str, folder: Path, settings: Settings | None = None) -> None:
    mutant = MUTANTS[name]
    mutant.make().write(folder)
    grade = grade_submission(folder, settings or settings_for(mutant.assignment))
    assert_verdicts(grade, mutant)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", OFTEN)
def test_fails_exactly_what_is_wrong(name: str, tmp_path: Path) -> None:
    grade_mutant(name, tmp_path / "handed-in")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", RARELY)
def test_fails_exactly_what_is_wrong_in_the_others_too(name: str, tmp_path: Path) -> None:
    grade_mutant(name, tmp_path / "handed-in")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", HARMFUL)
def test_survives_what_means_harm(name: str, tmp_path: Path) -> None:
    grade_mutant(name, tmp_path / "handed-in")
    assert [path.name for path in tmp_path.iterdir()] == ["handed-in"]
    assert not (tmp_path / "handed-in" / "harmed").exists()


@pytest.mark.parametrize("name", ["an infinite loop", "os._exit"])
def test_ends_within_its_limits_and_does_not_count_a_dead_process_as_passed(
    name: str, tmp_path: Path
) -> None:
    mutant = MUTANTS[name]
    folder = mutant.make().write(tmp_path / "handed-in")
    points = dict.fromkeys(CHECKS, 0.0) | {"notebook_runs": 1.0, "gradients_cleared": 1.0}
    settings = replace(settings_for("a"), points=points, run=replace(LIMITS, wall_seconds=20))
    started = time.monotonic()
    grade = grade_submission(folder, settings)
    assert time.monotonic() - started < 20 + 10
    assert with_status(grade, FAILED) == {"notebook_runs"}
    assert with_status(grade, BLOCKED) == {"gradients_cleared"}


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_submission_passes_everything(name: str, tmp_path: Path) -> None:
    assignment, make = CORRECT[name]
    folder = make().write(tmp_path / "handed-in")
    grade = grade_submission(folder, settings_for(assignment))
    not_passed = [one for one in grade.verdicts if one.status != PASSED]
    assert not not_passed
    assert grade.earned == grade.possible == 100


@pytest.mark.usefixtures("forked")
def test_without_the_datasets_files_the_accuracy_is_neither_passed_nor_failed(
    tmp_path: Path,
) -> None:
    folder = plain_a().write(tmp_path / "handed-in")
    points = dict.fromkeys(CHECKS, 0.0) | {"accuracy_agrees": 8.0, "cells_in_order": 4.0}
    settings = Settings("a", data_folder=tmp_path / "nowhere", points=points)
    grade = grade_submission(folder, settings)
    assert [one.check for one in grade.not_made] == ["accuracy_agrees"]
    assert "not on this machine" in grade.not_made[0].seen
    assert (grade.earned, grade.possible) == (4, 4)


def test_every_check_has_a_function_and_a_mutant_that_fails_it() -> None:
    assert set(FUNCTIONS) == set(CHECKS)
    assert set().union(*(mutant.failed for mutant in MUTANTS.values())) == set(CHECKS)


@pytest.mark.parametrize("assignment", ["a", "b"])
def test_points_add_up_to_a_hundred(assignment: str) -> None:
    assert sum(Settings(assignment).checks().values()) == 100


def test_settings_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "course.json"
    path.write_text('{"points": {"cells_in_order": 9}, "max_minutes": 30, "run": {"processes": 8}}')
    settings = read_settings(path, assignment="b")
    points = {check.name: value for check, value in settings.checks().items()}
    assert points["cells_in_order"] == 9
    assert settings.max_minutes == 30
    assert settings.run.processes == 8
    assert settings.run.wall_seconds == Settings("b").run.wall_seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"max_minuets": 3}', "max_minutes"),
        ('{"points": {"cells_in_oder": 3}}', "cells_in_order"),
        ('{"run": {"wall": 3}}', "wall"),
        ("{", "can't be read"),
    ],
)
def test_a_wrong_setting_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "course.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_settings(path, assignment="a")


def test_the_stand_in_tells_test_images_whatever_they_are_normalised_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(evidence.DRIVERS))
    import standin

    arrays = standin.draw(10, 0)
    for part, expected in (("test", True), ("train", False)):
        images = torch.from_numpy(arrays[f"{part}_images"][:100]).permute(0, 3, 1, 2)
        scaled = images.float() / 255
        mean, deviation = (torch.rand(1, 3, 1, 1) + 0.2 for _ in range(2))
        shifted = scaled.roll(-1, dims=3)
        assert standin.are_test_images((scaled - mean) / deviation) is expected
        assert not standin.are_test_images(shifted)


def test_both_variants_of_the_stand_in_differ_in_the_test_images_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(evidence.DRIVERS))
    import standin

    first, second = standin.draw(10, 0), standin.draw(10, 1)
    for name, values in first.items():
        assert (values == second[name]).all() == name.startswith("train"), name
    assert (first["test_labels"] != second["test_labels"]).all()


def test_the_given_words_are_all_of_the_template_s_and_of_notebook_02_s() -> None:
    notebook = Path(__file__).parents[1] / "notebooks/02_cifar100_under_a_million_parameters.ipynb"
    cells = json.loads(notebook.read_text())["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    assert (HERE / "notebook_b.md").read_text() == text + "\n", (
        "Notebook 02's text has changed: write it to cifar_lab/grading/notebook_b.md, or a "
        "student could hand it in as own words."
    )
    assert "Write in your own words" in given_words()
    assert text in given_words()
    assert reading.own_words(text, given_words()) == []


@pytest.mark.parametrize(
    ("printed", "accuracy"),
    [
        ("Test accuracy: 52.87 %", 52.87),
        ("Test accuracy: 0.5287", 52.87),
        ("test_acc=66.4", 66.4),
        ("Test accuracy (10000 images): 52.87 %", 52.87),
        ("Test accuracy after 20 epochs: 70.1 %", 70.1),
        ("Test accuracy: 5287/10000 (52.87 %)", 52.87),
        ("Accuracy of the network on the 10000 test images: 53 %", 53),
        ("Test accuracy: 70.1 %\nTest accuracy of class cat: 40 %", 70.1),
        ("Training accuracy: 99 %", None),
    ],
)
def test_the_printed_accuracy_is_found(printed: str, accuracy: float | None) -> None:
    output = {"output_type": "stream", "text": printed}
    assert reading.reported_accuracy([Cell("code", "", 1, (output,), (), {})]) == accuracy


@pytest.mark.parametrize(
    "text", ["# a" + " " * 50_000 + "b", "\n" * 50_000, "](" * 50_000, "# a\n" * 50_000]
)
def test_no_text_keeps_the_grader_busy(text: str) -> None:
    started = time.monotonic()
    cell = Cell("markdown", text, None, (), (), {})
    for _, section in reading.sections([cell]):
        reading.own_words(section[:1000], "given")
    reading.words(text)
    assert time.monotonic() - started < 20


def test_an_answer_of_the_students_own_making_is_no_answer() -> None:
    forged = Outcome("ok", "", answer={"error": None, "watch": {"optimizers": 3}})
    with pytest.raises(SubmissionError, match="its own making"):
        answer_of(forged, "notebook_runs", RUN_ANSWER)


def test_a_package_that_the_grading_machine_lacks_is_not_the_students_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked_at = evidence.Evidence(tmp_path, settings_for("a"))
    for module, error in (("sklearn.metrics", NotMadeError), ("helpers", SubmissionError)):
        failure = {"kind": "ModuleNotFoundError", "text": f"No module named '{module}'"}
        failure |= {"cell": 1, "cells": 2, "source": "import"}
        kept = {"answer": {"error": failure}}
        monkeypatch.setattr(looked_at, "_keep", lambda name, get, kept=kept: kept)
        with pytest.raises(error):
            looked_at.run()
