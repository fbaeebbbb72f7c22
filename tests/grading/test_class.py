"""Grading from the command line: one submission with pytest, a class with `cifar-lab grade`."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest
from handed_in.correct import CORRECT, plain_a
from handed_in.mutants import MUTANTS

from cifar_lab.grading.reports import (
    grades_csv,
    gradescope,
    junit,
    page,
    read_grade,
    text_table,
    write_reports,
)
from cifar_lab.grading.sessions.class_session import LOCK
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ALL = {name: (mutant.assignment, mutant.make) for name, mutant in MUTANTS.items()} | CORRECT


def made_up(*statuses: str, submission: str = "anna") -> Grade:
    verdicts = tuple(
        Verdict(
            f"check{number}",
            f"Title {number}",
            status,
            5.0,
            5.0 * (status == PASSED),
            "expected",
            "<b>seen</b> & \x00",
            "remedy",
        )
        for number, status in enumerate(statuses)
    )
    return Grade(submission, "a", "cifar10", verdicts, 1.5, "process", {"torch": "2"}, "abc")


MIXED = made_up(PASSED, FAILED, BLOCKED, NOT_MADE)


def test_a_grade_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_reports(MIXED, tmp_path)
    assert read_grade(tmp_path) == MIXED
    assert (MIXED.earned, MIXED.possible) == (5, 15)


def test_a_damaged_grade_counts_as_none(tmp_path: Path) -> None:
    write_reports(MIXED, tmp_path)
    path = tmp_path / "grade.json"
    path.write_text(path.read_text()[:100])
    assert read_grade(tmp_path) is None


def test_junit_tells_failures_from_what_was_not_looked_at() -> None:
    suite = ElementTree.fromstring(junit(MIXED).encode())[0]  # noqa: S314 (our own)
    assert (suite.get("failures"), suite.get("skipped"), suite.get("errors")) == ("1", "2", "0")
    assert [len(case) for case in suite] == [0, 1, 1, 1]


def test_the_page_shows_a_submissions_text_as_text() -> None:
    assert "<b>seen</b>" not in page(MIXED)
    assert "&lt;b&gt;seen&lt;/b&gt;" in page(MIXED)


def test_gradescope_is_given_scores_that_add_up() -> None:
    results = gradescope(MIXED)
    assert results["score"] == sum(test["score"] for test in results["tests"]) == 5
    assert sum(test["max_score"] for test in results["tests"]) == 15
    json.dumps(results)


def test_a_grader_error_is_no_zero_in_the_class_table() -> None:
    rows = list(
        csv.DictReader(
            grades_csv([MIXED, made_up(PASSED, submission="=1+1")], ["carl"]).splitlines()
        )
    )
    by_name = {row["submission"]: row for row in rows}
    assert by_name["carl"]["status"] == "grader error"
    assert by_name["carl"]["points"] == ""
    assert by_name["anna"]["status"] == "needs a look"
    assert by_name["anna"]["not made"] == "check3"
    assert "'=1+1" in by_name, "a spreadsheet would compute it"


def test_the_class_table_counts_what_could_not_be_made_apart_from_what_failed() -> None:
    (row,) = csv.DictReader(grades_csv([MIXED]).splitlines())
    assert (row["points"], row["of"], row["points not made"]) == ("5", "15", "5")


def test_one_cause_is_told_once_on_the_page_and_in_the_terminal() -> None:
    many = made_up(PASSED, FAILED, *[BLOCKED] * 6, *[NOT_MADE] * 5)
    text = page(many)
    assert text.count("<section") == 1 + 1 + 1 + 1
    for number in range(len(many.verdicts)):
        assert f"Title {number} " in text
    assert text.index("(failed, 0") < text.index("(not made, 0") < text.index("(blocked, 0")
    shown = text_table(many).splitlines()
    assert sum("checks wait: <b>seen" in line for line in shown) == 2, "blocked, not made"
    assert any(line.startswith("–   0/30  6 checks wait: ") for line in shown)


def test_a_terminal_is_told_what_was_expected_and_what_to_do() -> None:
    text = text_table(MIXED)
    assert text.count("expected: expected") == 2
    assert "to do:    remedy" in text


def grade(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cifar_lab.cli.main", "grade", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)


@pytest.fixture
def unreadable_class(tmp_path: Path) -> Path:
    """Three submissions that are graded at once, since nothing in them can be run."""
    for name in ("anna", "bert", "carl"):
        folder = tmp_path / "class" / name
        folder.mkdir(parents=True)
        (folder / "notebook.ipynb").write_text(name)
    return tmp_path / "class"


def test_what_is_graded_and_unchanged_is_kept_and_what_changed_is_graded_again(
    unreadable_class: Path, tmp_path: Path
) -> None:
    arguments = [unreadable_class, "--assignment", "a", "--jobs", 2, "--out", tmp_path / "out"]
    arguments += ["--data", tmp_path / "nothing"]
    first = grade(*arguments)
    assert first.returncode == 0, first.stderr
    assert "[3/3]" in first.stdout
    assert "unchanged" not in first.stdout
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/grade.json")}
    assert len(times) == 3
    (unreadable_class / "bert" / "notebook.ipynb").write_text("changed")
    (tmp_path / "out" / "carl").rename(tmp_path / "kept")
    (tmp_path / "out" / "carl").write_text("a file where a folder should be")
    second = grade(*arguments)
    assert second.returncode == 3, "the grader itself failed at one"
    assert second.stdout.count("unchanged") == 1
    assert "carl: GRADER ERROR" in second.stdout
    anna, bert = (tmp_path / "out" / name / "grade.json" for name in ("anna", "bert"))
    assert anna.stat().st_mtime_ns == times[anna]
    assert bert.stat().st_mtime_ns != times[bert]
    rows = list(csv.DictReader((tmp_path / "out" / "grades.csv").open()))
    assert [row["status"] for row in rows] == ["graded", "graded", "grader error"]


def test_what_is_no_folder_is_named(unreadable_class: Path, tmp_path: Path) -> None:
    (unreadable_class / "dora.zip").touch()
    arguments = [unreadable_class, "--assignment", "a", "--data", tmp_path / "nothing"]
    result = grade(*arguments, "--out", tmp_path / "out")
    assert "[3/3]" in result.stdout
    assert "no folders: dora.zip" in result.stdout


def test_students_not_reached_yet_are_no_grader_errors() -> None:
    rows = list(csv.DictReader(grades_csv([MIXED], ["bert"], ["carl"]).splitlines()))
    assert [row["status"] for row in rows] == ["needs a look", "grader error", "not graded yet"]


def test_settings_of_pytest_in_a_submission_are_not_taken(
    unreadable_class: Path, tmp_path: Path
) -> None:
    (unreadable_class / "anna" / "helpers_of_anna.py").write_text("import os; os._exit(0)")
    (unreadable_class / "anna" / "pytest.ini").write_text(
        "[pytest]\naddopts = -p helpers_of_anna\npythonpath = .\n"
    )
    assert pytest_on(unreadable_class / "anna", "a", tmp_path / "reports") == 1
    assert read_grade(tmp_path / "reports") is not None


def test_settings_of_pytest_from_a_submission_are_refused(
    unreadable_class: Path, tmp_path: Path
) -> None:
    (unreadable_class / "anna" / "pytest.ini").write_text("[pytest]\nminversion = 2\n")
    command = [sys.executable, "-m", "pytest", "--pyargs", "cifar_lab.grading", "--assignment", "a"]
    command += ["--submission", str(unreadable_class / "anna")]
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path, check=False
    )
    assert result.returncode == 4
    assert "--submission=PATH" in result.stderr


def test_two_runs_do_not_grade_into_one_folder(unreadable_class: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = grade(unreadable_class, "--assignment", "a", "--out", out)
    assert result.returncode == 1
    assert "Another run is grading" in result.stderr
    assert not list(out.glob("*/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--assignment", "a"), "There is no folder nowhere"),
        ((".", "--assignment", "a", "--jobs", "0"), "no sub-folders"),
    ],
)
def test_a_wrong_class_folder_is_named(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cifar_lab.cli.main import main

    monkeypatch.chdir(tmp_path)
    assert main(["grade", *arguments]) == 1


def pytest_on(folder: Path, assignment: str, reports: Path) -> int:
    command = [sys.executable, "-m", "pytest", "--pyargs", "cifar_lab.grading", "-q"]
    command += [f"--submission={folder}", "--assignment", assignment]
    command += ["--dataset", "synthetic", "--reports", str(reports), "-p", "no:cacheprovider"]
    result = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, cwd=reports.parent, check=False
    )
    return result.returncode


def test_pytest_grades_a_submission_from_any_folder(unreadable_class: Path, tmp_path: Path) -> None:
    assert pytest_on(unreadable_class / "anna", "a", tmp_path / "reports") == 1
    written = read_grade(tmp_path / "reports")
    assert written is not None
    failed = [one.check for one in written.verdicts if one.status == FAILED]
    assert failed == ["submission_readable", "weights_load"]


def test_pytest_tells_a_grader_error_by_its_exit_status(
    unreadable_class: Path, tmp_path: Path
) -> None:
    (tmp_path / "reports").write_text("a file where a folder should be")
    assert pytest_on(unreadable_class / "anna", "a", tmp_path / "reports") not in (0, 1)


def verdicts(reports: Path) -> dict[str, str]:
    written = read_grade(reports)
    assert written is not None
    return {one.check: one.status for one in written.verdicts}


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("assignment", ["a", "b"])
def test_both_commands_give_the_verdicts_of_the_table(assignment: str, tmp_path: Path) -> None:
    limits = tmp_path / "limits.json"
    limits.write_text('{"run": {"wall_seconds": 90, "memory_mib": 2048, "file_mib": 64}}')
    chosen = {name: make for name, (which, make) in ALL.items() if which == assignment}
    for name, make in chosen.items():
        make().write(tmp_path / "class" / name)
    out = tmp_path / "out"
    result = grade(
        tmp_path / "class",
        "--assignment",
        assignment,
        "--jobs",
        2,
        "--out",
        out,
        "--dataset",
        "synthetic",
        "--settings",
        limits,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (tmp_path / "single").mkdir()
    with ThreadPoolExecutor(2) as pool:  # as many processes as the class had
        for name in chosen:
            folder, reports = tmp_path / "class" / name, tmp_path / "single" / name
            pool.submit(pytest_on, folder, assignment, reports)
    wrong = {}
    for name in chosen:
        expected = MUTANTS[name].failed if name in MUTANTS else frozenset()
        by_class = verdicts(out / name)
        by_pytest = verdicts(tmp_path / "single" / name)
        failed = {check for check, status in by_class.items() if status == FAILED}
        if by_class != by_pytest or failed != expected:
            wrong[name] = (by_class, by_pytest)
    assert not wrong


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_kill_in_the_middle_loses_no_finished_grade(tmp_path: Path) -> None:
    one = plain_a().write(tmp_path / "one")
    for number in range(6):
        shutil.copytree(one, tmp_path / "class" / f"student{number}")
    arguments = [tmp_path / "class", "--assignment", "a", "--jobs", 2, "--out", tmp_path / "out"]
    arguments += ["--dataset", "synthetic"]
    command = [sys.executable, "-m", "cifar_lab.cli.main", "grade", *map(str, arguments)]
    process = subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True)
    while len(list((tmp_path / "out").glob("*/grade.json"))) < 2:
        assert process.poll() is None
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.read_bytes() for path in (tmp_path / "out").glob("*/grade.json")}
    assert 2 <= len(finished) < 6
    result = grade(*arguments)
    assert result.returncode == 0
    assert result.stdout.count("unchanged") == len(finished)
    assert all(path.read_bytes() == content for path, content in finished.items())
    assert len(list(csv.DictReader((tmp_path / "out" / "grades.csv").open()))) == 6
