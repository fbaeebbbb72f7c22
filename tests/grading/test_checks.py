"""The checks against submissions whose faults are known: all of them, and no others, are found."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from handed_in.correct import CORRECT, plain_a
from handed_in.given_texts import COPIES, text_of
from handed_in.making import HandedIn, code
from handed_in.mutants import MUTANTS, Mutant
from handed_in.quick import run_forked

from cifar_lab.grading import evidence, sandboxing
from cifar_lab.grading.checks.notebook import cells_in_order
from cifar_lab.grading.checks.report import iterations_reported
from cifar_lab.grading.checks.table import CHECKS, checks_of
from cifar_lab.grading.checks.words import HERE, given_words
from cifar_lab.grading.isolation.sandbox import Limits, Outcome
from cifar_lab.grading.outcomes import answer_of, is_examination, is_run_answer
from cifar_lab.grading.reading import report
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.settings_file import read_settings
from cifar_lab.grading.submissions.submission import Cell, Submission
from cifar_lab.grading.verdicts import (
    BLOCKED,
    FAILED,
    NOT_MADE,
    PASSED,
    Grade,
    NotMadeError,
    SubmissionError,
)

QUICK = [name for name, mutant in MUTANTS.items() if mutant.quick]
OFTEN = [name for name in QUICK if MUTANTS[name].often]
RARELY = [name for name in QUICK if not MUTANTS[name].often]
HARMFUL = [name for name, mutant in MUTANTS.items() if not mutant.quick]
CORRECT_OFTEN = ("an own class and loop in a plain notebook",)
WRITTEN = {"findings_written", "choices_discussed"}  # a part of what is asked for earns a share
LIMITS = Limits(wall_seconds=120, cpu_seconds=120, memory_mib=2048, file_mib=64, processes=32)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sandbox around submissions that mean no harm."""
    monkeypatch.setattr(sandboxing, "run_isolated", run_forked)
    yield


def settings_for(assignment: str) -> Settings:
    return Settings(assignment, dataset="synthetic", run=LIMITS)


def with_status(grade: Grade, status: str) -> set[str]:
    return {verdict.check for verdict in grade.verdicts if verdict.status == status}


def assert_verdicts(grade: Grade, mutant: Mutant) -> None:
    assert with_status(grade, FAILED) == mutant.failed
    assert with_status(grade, BLOCKED) == mutant.blocked
    assert with_status(grade, NOT_MADE) == mutant.not_made
    found = mutant.failed | mutant.blocked | mutant.not_made
    assert with_status(grade, PASSED) == {verdict.check for verdict in grade.verdicts} - found
    for verdict in grade.verdicts:
        if verdict.status == FAILED:
            assert verdict.seen and verdict.remedy and verdict.expected
            assert verdict.earned == 0 or verdict.check in WRITTEN
            assert verdict.earned < verdict.points
    told = [
        f"{one.seen} {one.remedy}" for one in grade.verdicts if one.status in (FAILED, NOT_MADE)
    ]
    assert mutant.says in " ".join(told)


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


@pytest.mark.parametrize(
    "name", [pytest.param("an infinite loop", marks=pytest.mark.slow), "os._exit"]
)
def test_ends_within_its_limits_and_does_not_count_a_dead_process_as_passed(
    name: str, tmp_path: Path
) -> None:
    mutant = MUTANTS[name]
    folder = mutant.make().write(tmp_path / "handed-in")
    points = dict.fromkeys(CHECKS, 0.0) | {"notebook_runs": 1.0, "gradients_cleared": 1.0}
    settings = replace(settings_for("a"), points=points, run=replace(LIMITS, wall_seconds=12))
    grade = grade_submission(folder, settings)
    assert with_status(grade, FAILED) == {"notebook_runs"}
    assert with_status(grade, PASSED) == {"gradients_cleared"}  # by what was seen until then


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in CORRECT_OFTEN else pytest.mark.slow)
        for name in CORRECT
    ],
)
def test_a_correct_submission_passes_everything(name: str, tmp_path: Path) -> None:
    assignment, make = CORRECT[name]
    folder = make().write(tmp_path / "handed-in")
    grade = grade_submission(folder, settings_for(assignment))
    not_passed = [one for one in grade.verdicts if one.status != PASSED]
    assert not not_passed
    assert grade.earned == grade.possible == 100


@pytest.mark.slow
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


def test_every_check_has_a_mutant_that_fails_it() -> None:
    assert set().union(*(mutant.failed for mutant in MUTANTS.values())) == set(CHECKS)


@pytest.mark.parametrize("assignment", ["a", "b"])
def test_points_add_up_to_a_hundred(assignment: str) -> None:
    assert sum(checks_of(Settings(assignment)).values()) == 100


def test_settings_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "course.json"
    path.write_text('{"points": {"cells_in_order": 9}, "max_minutes": 30, "run": {"processes": 8}}')
    settings = read_settings(path, assignment="b")
    points = {check.name: value for check, value in checks_of(settings).items()}
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
        ('{"max_minutes": "60"}', "max_minutes is '60'"),
        ('{"points": {"cells_in_order": "9"}}', "cells_in_order is '9'"),
        ('{"run": {"memory_mib": -1}}', "run.memory_mib is -1"),
        ('{"template": "nowhere.md"}', "no file nowhere.md"),
        ("{", "can't be read"),
    ],
)
def test_a_wrong_setting_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "course.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_settings(path, assignment="a")


@pytest.mark.parametrize("copy", COPIES)
def test_the_given_words_are_all_of_the_template_s_and_the_notebooks(copy: str) -> None:
    text = text_of(COPIES[copy])
    assert (HERE / copy).read_text(encoding="utf-8") == text, (
        f"The text of {COPIES[copy]} has changed: a student could hand it in as own words. "
        "In tests/, run `python -m handed_in.given_texts`, which writes it to the grader's files."
    )
    assert "Write in your own words" in given_words()
    assert text in given_words()
    assert report.own_words(text, given_words()) == []


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
        ("Test accuracy: 0.7123, Test loss: 0.85", 71.23),
        ("Test accuracy after training: 71.20%", 71.2),
        ("Test accuracy of the trained network: 71.2%", 71.2),
        ("Test accuracy with the best validation weights: 71.2%", 71.2),
        ("Test set accuracy (best val epoch 17) = 71.2%", 71.2),
        ("Accuracy (trained model, test set): 71.2", 71.2),
        ("TestAcc: 0.712", 71.2),
        ("|Test accuracy|71.23%|", 71.23),
        ("{'test_acc': 0.7123, 'test_loss': 0.85}", 71.23),
        ("Test Acc: 0.7123, Train Acc: 0.98", 71.23),
        ("Test accuracy: tensor(0.7123, device='cuda:0')", 71.23),
        ("Test set: Average loss: 0.81, Accuracy: 7123/10000 (71%)", 71),
        ("Test Error: \n Accuracy: 71.2%, Avg loss: 0.81", 71.2),
        ("Test loss: 0.81, accuracy: 71.23%", 71.23),
        ("[Test] Acc: 71.23%", 71.23),
        ("Test Accuracy: 7123/10000", 71.23),
        ("Test accuracy (100 classes): 45.1%", 45.1),
        ("Test accuracy of ResNet-20: 0.7012", 70.12),
        ("Test Accuracy of Model 3: 71.23.", 71.23),
        ("Test accuracy after 20 epochs: 0.7012", 70.12),
        ("Test accuracy: 100%|█████| 79/79", None),
        ("MLP test accuracy 53.10%, CNN test accuracy 71.23%", 71.23),
        ("train_acc: 0.98 test_acc: 0.71", 71),
        ("Test accuracy: 71.2 %\nval_acc: 0.68", 71.2),
        ("Test accuracy: 71.2 %\nAccuracy on the training set: 98 %", 71.2),
        ("Finished Training\nAccuracy of the network on the 10000 test images: 71 %", 71),
    ],
)
def test_the_printed_accuracy_is_found(printed: str, accuracy: float | None) -> None:
    output = {"output_type": "stream", "text": printed}
    found = report.reported_accuracies([Cell("code", "", 1, (output,), (), {})])
    assert found[-1:] == ([] if accuracy is None else [pytest.approx(accuracy)])


def test_a_working_folder_is_read_where_submit_wrote(tmp_path: Path) -> None:
    inside = tmp_path / "runs" / "submission-a"
    inside.mkdir(parents=True)
    (inside / "submission.json").write_text('{"format": "cifar-lab submission 1"}')
    for path in (inside / "weights.pt", tmp_path / "best.pt", tmp_path / "hw.ipynb"):
        path.touch()
    assert Submission(tmp_path).weights == inside / "weights.pt"
    assert Submission(tmp_path).notebook_path == tmp_path / "hw.ipynb"


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "submission.json").write_text("[" * 5_000_000)
    with pytest.raises(SubmissionError, match="4 MiB"):
        Submission(tmp_path).refuse_damaged_manifest()


def test_a_class_may_consist_of_links(tmp_path: Path) -> None:
    folder = plain_a().write(tmp_path / "elsewhere" / "anna")
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "anna").symlink_to(folder)
    assert Submission(tmp_path / "class" / "anna").folder == folder


def test_more_wall_time_brings_more_processor_time() -> None:
    settings = Settings("a", run=replace(LIMITS, wall_seconds=900))
    assert settings.run.cpu_seconds == 900


@pytest.mark.parametrize(
    "text", ["# a" + " " * 50_000 + "b", "\n" * 50_000, "](" * 50_000, "# a\n" * 50_000]
)
def test_no_text_keeps_the_grader_busy(text: str) -> None:
    started = time.monotonic()
    cell = Cell("markdown", text, None, (), (), {})
    for _, section in report.sections([cell]):
        report.own_words(section[:1000], "given")
    report.words(text)
    assert time.monotonic() - started < 20


def test_many_lines_on_networks_are_read_in_time(tmp_path: Path) -> None:
    line = "Net 40010 parameters " + "1 234 567k 42,362 " * 100
    text = "\n".join(f"{line} {number / 1000} %" for number in range(50_000))
    cell = Cell("markdown", text, None, (), (), {})
    shown = Cell("code", "", 1, ({"output_type": "stream", "text": text},), (), {})
    looked_at = evidence.Evidence(tmp_path, settings_for("a"))
    networks = [{"parameters": size, "network": size} for size in range(40_000, 90_000)]
    run = {"error": None, "watch": {"optimizers": networks}}
    looked_at.run = lambda: run  # type: ignore[method-assign]
    looked_at.cells = lambda: (cell, shown)  # type: ignore[method-assign]
    (tmp_path / "notebook.ipynb").touch()
    started = time.monotonic()
    with pytest.raises(SubmissionError):
        iterations_reported(looked_at)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("text", ["<" * 4_000_000, "&#" + "1" * 5000 + ";", "test acc:" * 100_000])
def test_no_output_keeps_or_breaks_the_grader(text: str) -> None:
    started = time.monotonic()
    outputs = tuple({"data": {"text/html": text}} for _ in range(5))
    report.reported_accuracies([Cell("code", "", 1, outputs, (), {})])
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("rows", "trained", "enough"),
    [
        ("first 42362 0.5 71.23\nsecond 42362 0.5 73.11", 2, True),  # a column that both have
        ("first 42362 0.5 71.23\nthe first of 42362 parameters reaches 71.23 %", 1, False),
        (
            "first 42362 0.5 71.23\nsecond of 42362 parameters, lr 0.01, 91.5",
            2,
            False,
        ),  # 91.5 was not printed
    ],
)
def test_reported_networks_are_counted(
    rows: str, trained: int, enough: bool, tmp_path: Path
) -> None:
    looked_at = evidence.Evidence(tmp_path, settings_for("a"))
    (tmp_path / "notebook.ipynb").touch()
    output = {"output_type": "stream", "text": "name size lr acc 0.01\n0.5 71.23 73.11"}
    cells = (Cell("markdown", rows, None, (), (), {}), Cell("code", "", 1, (output,), (), {}))
    networks = [{"parameters": 42_362, "network": number} for number in range(trained)]
    run = {"error": None, "watch": {"optimizers": networks}}
    looked_at.run = lambda: run  # type: ignore[method-assign]
    looked_at.cells = lambda: cells  # type: ignore[method-assign]
    with nullcontext() if enough else pytest.raises(SubmissionError):
        iterations_reported(looked_at)


def test_networks_that_a_missing_package_kept_from_training_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {"use": code("!pip install a-package-of-nobody\nimport a_package_of_nobody")}
    looked_at = evidence.Evidence(HandedIn(cells, None).write(tmp_path / "a"), settings_for("a"))
    failure = {"kind": "ImportError", "text": "No module named 'a_package_of_nobody'"}
    run = {"error": failure, "watch": {"optimizers": []}}
    monkeypatch.setattr(looked_at, "run", lambda: run)
    with pytest.raises(NotMadeError, match="a_package_of_nobody"):
        iterations_reported(looked_at)


def test_a_table_as_pandas_shows_it_is_read_by_rows() -> None:
    table = (
        "<table><thead><tr><th></th>\n      <th>parameters</th>\n <th>test acc</th></tr></thead>"
        "<tr>\n <th>CNN</th>\n <td>42362</td>\n <td>0.712</td>\n </tr>\n</table>"
    )
    cell = Cell("code", "", 1, ({"data": {"text/html": table}},), (), {})
    (row,) = [row for row in report.passages([cell]) if "CNN" in row]
    assert report.counts(row, [2_362, 42_362]) == [42_362]
    assert report.percentages(row) == [pytest.approx(71.2)]


def test_recorded_times_that_make_no_sense_are_no_times() -> None:
    mixed = {"iopub.execute_input": "2026-01-01T10:00:00", "shell.execute_reply": "2026-01-01T10Z"}
    for metadata in ({"execution": mixed}, {"executionInfo": {"elapsed": 10**400}}):
        report.recorded_seconds([Cell("code", "", 1, (), (), metadata)])
    nan = {"executionInfo": {"elapsed": float("nan")}}
    assert report.recorded_seconds([Cell("code", "", 1, (), (), nan)]) is None


STEPS = {"parameters": 1, "network": 1, "steps": 1, "looked_at": 1, "not_cleared": 0}
UNNAMED = STEPS | {"digest": ""}  # it doesn't say whether the student was given that network
WATCHED = {
    "optimizers": [],
    "saved": {},
    "test_batches": {"eval mode": 0, "train mode": 0, "with gradients": 0},
    "losses": 0,
    "losses_of_shares": 0,
    "seeds": [],
    "cudnn_deterministic": True,
    "cudnn_benchmark": False,
    "saved_after_training": True,
    "loaded_after_saving": True,
    "tested_after_loading": True,
    "shortened": True,
    "loaded": [["save", "best.pt"]],
}
NO_MODEL = {"found": False, "is_module": False, "type": "NoneType"}


def test_an_answer_with_all_that_is_looked_into_is_an_answer() -> None:
    assert is_run_answer({"error": None, "watch": WATCHED, "model": NO_MODEL})
    named = WATCHED | {"optimizers": [UNNAMED | {"like": "skeleton"}]}
    assert is_run_answer({"error": None, "watch": named, "model": NO_MODEL})


@pytest.mark.parametrize(
    "forged",
    [
        {"error": None, "watch": {"optimizers": 3}},
        {"error": None, "watch": WATCHED},
        {"watch": WATCHED, "model": NO_MODEL},
        {"error": {}, "watch": WATCHED, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"optimizers": [3]}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"optimizers": [UNNAMED]}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"seeds": [3]}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED, "model": {"found": True, "is_module": True}},
        {"error": None, "watch": WATCHED | {"saved": {"x": ["list"]}}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"losses": 10**4300}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"losses": -1}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"losses": True}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED | {"loaded": [["load", ["list"]]]}, "model": NO_MODEL},
        {"error": None, "watch": WATCHED, "model": NO_MODEL | {"type": "x" * 200_000}},
    ],
)
def test_an_answer_of_the_students_own_making_is_no_answer(forged: dict[str, object]) -> None:
    with pytest.raises(SubmissionError, match="its own making"):
        answer_of(Outcome("ok", "", answer=forged), "notebook_runs", is_run_answer)


LOOKED_AT = {
    "size": {"value": {"parameters": 10, "statistics": 0, "constants": 0}},
    "finite": {"value": True},
    "shapes": {"value": [{"images": 2, "shape": [2, 10], "finite": True}]},
    "alone": {"value": 0.0},
    "twice": {"value": {"difference": 0.0, "changed": []}},
    "gradients": {"error": "RuntimeError: no"},
    "overfit": {"value": 0.5},
    "like": {"value": ""},
}


def test_looks_with_all_that_is_looked_into_are_an_examination() -> None:
    assert is_examination(LOOKED_AT) and is_examination({"load_error": "ValueError: no"})
    assert is_examination(LOOKED_AT | {"weights": {"value": {"load_error": "no"}}})


@pytest.mark.parametrize(
    "forged",
    [
        {"size": {"value": {"parameters": 10**400, "statistics": 0, "constants": 0}}},
        {"shapes": {"value": [{"images": 2, "shape": None, "finite": True}]}},
        {"shapes": {"value": [{"images": 2, "error": 5}]}},
        {"shapes": {"value": [None]}},
        {"twice": {"value": {"difference": 0.0}}},
        {"gradients": {"value": True}},
        {"overfit": {}},
        {"weights": {"value": {"file": "weights.pt"}}},
    ],
)
def test_looks_of_somebody_s_own_making_are_none(forged: dict[str, object]) -> None:
    assert not is_examination(LOOKED_AT | forged)


@pytest.mark.parametrize(
    ("module", "error"), [("a_package_of_nobody", NotMadeError), ("helpers", SubmissionError)]
)
def test_a_package_that_the_grading_machine_lacks_is_not_the_students_fault(
    module: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cells = {"install": code("!pip install a-package-of-nobody"), "use": code(f"import {module}")}
    folder = HandedIn(cells, None).write(tmp_path / "handed-in")
    failure = {"kind": "ModuleNotFoundError", "text": f"No module named '{module}'"}
    failure |= {"cell": 2, "cells": 2, "source": f"import {module}"}
    looked_at = evidence.Evidence(folder, settings_for("a"))
    monkeypatch.setattr(looked_at, "run", lambda: {"error": failure})
    with pytest.raises(error):
        looked_at.ran_to_the_end()


@pytest.mark.parametrize(
    ("unrun", "own_check", "expected"),
    [
        ((), True, None),
        (("hand in", "check"), True, None),  # the cell that hands in, and those behind it
        (("train", "hand in", "check"), True, NotMadeError),
        (("train", "hand in", "check"), False, SubmissionError),
    ],
)
def test_a_notebook_that_checks_itself_was_run_up_to_there(
    unrun: tuple[str, ...], own_check: bool, expected: type[Exception] | None, tmp_path: Path
) -> None:
    cells = {
        "train": code("model = 1"),
        "hand in": code("folder = cifar_lab.submit(model, assignment='a')"),
        "check": code("cifar_lab.check_submission(folder)"),
    }
    for name in unrun:
        cells[name].count = 0
    folder = HandedIn(cells, None).write(tmp_path / "handed-in")
    looked_at = evidence.Evidence(folder, settings_for("a"), notebook_missing_is_open=own_check)
    with nullcontext() if expected is None else pytest.raises(expected):
        cells_in_order(looked_at)
