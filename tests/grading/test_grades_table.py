"""The class's table, and the formats for other systems."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from handed_in.made_up_class import HOSTILE, made_up_class

from cifar_lab.grading.reports import (
    grades_csv,
    gradescope,
    junit,
    read_grade,
    summary,
    text_table,
    write_class,
    write_reports,
)
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.reports.spreadsheet import cell
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict


def made_up(*statuses: str, submission: str = "anna", points: float = 5.0) -> Grade:
    verdicts = tuple(
        Verdict(
            f"check{number}",
            f"Title {number}",
            status,
            points,
            points * (status == PASSED),
            "expected",
            "<b>seen</b> & \x1b[2J\x00\u202e",
            "remedy",
        )
        for number, status in enumerate(statuses)
    )
    return Grade(submission, "a", "cifar10", verdicts, 90.0, "process", {"torch": "2"}, "abc")


MIXED = made_up(PASSED, FAILED, BLOCKED, NOT_MADE)


def rows_of(text: str) -> dict[str, dict[str, str]]:
    return {row["submission"]: row for row in csv.DictReader(text.splitlines())}


def test_a_grader_error_is_no_zero_and_what_was_not_made_is_no_failure() -> None:
    rows = rows_of(grades_csv([MIXED], ["carl"], ["dora"]))
    assert (rows["carl"]["status"], rows["carl"]["points"]) == ("grader error", "")
    assert (rows["dora"]["status"], rows["dora"]["points"]) == ("not graded yet", "")
    anna = rows["anna"]
    assert (anna["points"], anna["of"], anna["points not made"]) == ("5", "15", "5")
    assert (anna["status"], anna["not made"], anna["check3"]) == ("needs a look", "check3", "")
    assert anna["percent"] == "33.33"


def test_a_time_that_no_editor_records_is_no_reason_to_look() -> None:
    grade = made_up(PASSED, NOT_MADE)
    first, second = grade.verdicts
    timeless = replace(grade, verdicts=(first, replace(second, check="time_within_limit")))
    row = rows_of(grades_csv([timeless]))["anna"]
    assert (row["status"], row["of"], row["not made"]) == ("graded", "5", "time_within_limit")


def test_the_table_says_what_an_instructor_sorts_by() -> None:
    grades = made_up_class(40)
    grade = grades[-2]
    row = rows_of(grades_csv(grades))[grade.submission]
    assert float(row["measured accuracy"]) == grade.facts["measured_accuracy"]
    assert float(row["reported accuracy"]) == grade.facts["reported_accuracy"]
    assert int(row["parameters"]) == grade.facts["parameters"]
    assert float(row["training minutes"]) == grade.facts["training_minutes"]
    assert math.isclose(float(row["grading minutes"]), grade.seconds / 60, abs_tol=0.01)
    assert row["isolation"] == "bubblewrap"
    assert row["hints"].startswith("memorised: 98.41 %")
    assert unquote(row["page"]) == f"./{grade.submission}/report.html"
    assert grade.facts["weights_sha256"].startswith(row["weights"].removeprefix("sha256:"))


def test_the_table_shows_the_instructors_word() -> None:
    grades = made_up_class(40)
    row = rows_of(grades_csv(grades))[grades[-1].submission]
    assert (row["late days"], row["deduction"]) == ("2", "10")
    assert row["comment"] == "Handed in by e-mail, as agreed."
    assert row["submission_readable"] == "1"
    assert "instructor): The archive was damaged" in row["reasons"]


def test_each_reason_stands_once() -> None:
    reasons = rows_of(grades_csv([made_up(FAILED, NOT_MADE, NOT_MADE, BLOCKED, BLOCKED)]))["anna"][
        "reasons"
    ]
    assert reasons.count("not made") == 1
    assert reasons.endswith("2 blocked")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\u200b=1", "\ufeff=1", "＝1+1"]
    + ["＋1", "－1", "＠A", "\u00a0=1", "\u3000-1"],
)
def test_a_spreadsheet_computes_nothing(text: str) -> None:
    shown = cell(text)
    assert shown.startswith(("'", r"\r", r"\ufeff")), "as it is, or as what is seen of it"


@pytest.mark.parametrize(
    "text", ["0042", "1e5", "12345678901234567", "1.10", "3-4", "2024-01-02", "sep2", "1,5", "TRUE"]
)
def test_an_id_is_kept_from_becoming_another_number_or_a_date(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["anna", "12345", "Émile_12", "0042_anna", "a=b", "x-1", "may be"])
def test_other_texts_are_as_they_are(text: str) -> None:
    assert cell(text) == text


def test_a_name_is_found_again_whatever_is_in_it() -> None:
    names = [*HOSTILE, "\\xff", "\udcff", "a\\nb", "a\nb", "a\tb", "\\u202e", "\u202e", "a\\\\b"]
    shown = [shown_name(name) for name in names]
    assert len(set(shown)) == len(names), "each name has a form of its own"
    assert all(one.isprintable() for one in shown)
    lines = grades_csv([made_up(PASSED, submission=name) for name in names]).splitlines()
    assert len(lines) == 1 + len(names), "no name begins a line of its own"


def test_excel_is_told_that_the_file_is_utf_8(tmp_path: Path) -> None:
    write_class(tmp_path, [made_up(PASSED, submission="Émile \udcff")], ["Zoë"])
    content = (tmp_path / "grades.csv").read_bytes()
    assert content.startswith("\ufeffsubmission,".encode())
    assert "Émile \\xff" in content.decode("utf-8-sig")


def test_names_and_ids_of_the_site_are_in_the_table() -> None:
    ids = {"canvas": "0042", "email": "-a@b"}
    student = SimpleNamespace(
        folder="anna", name="Anna Öz", ids=ids, late=True, problem="", others=()
    )
    rows = rows_of(grades_csv([MIXED], ["bert"], students=[student]))
    row = rows["anna"]
    assert (row["name"], row["canvas"], row["email"]) == ("Anna Öz", "'0042", "'-a@b")
    assert row["by the site"] == "late"
    assert rows["bert"]["name"] == ""


def test_gradescope_is_given_points_of_the_whole_assignment() -> None:
    """A maximum of 20 there; one check of four was not made."""
    results = gradescope(MIXED)
    assert math.isclose(results["score"], 5 / 15 * 20, abs_tol=0.01)
    by_name = {test["name"]: test for test in results["tests"]}
    not_made = by_name["Not made: Title 3"]
    assert not not_made.keys() & {"score", "max_score", "status"}, "neither green nor red"
    assert "counts neither for nor against you" in not_made["output"]
    assert "5 of 20 points could not be looked at" in results["output"]
    assert by_name["Title 0"]["status"] == "passed"
    assert by_name["Title 1"]["status"] == by_name["Title 2"]["status"] == "failed"
    json.dumps(results)


def test_gradescope_is_given_full_points_where_all_that_could_be_made_has_passed() -> None:
    assert gradescope(made_up(PASSED, PASSED, NOT_MADE))["score"] == 15
    assert gradescope(made_up(PASSED, PASSED))["score"] == 10
    assert gradescope(made_up(NOT_MADE, NOT_MADE))["score"] == 0


def test_gradescope_shows_no_student_a_score_of_which_little_is_known() -> None:
    assert gradescope(made_up(PASSED, NOT_MADE, NOT_MADE))["visibility"] == "after_published"
    assert gradescope(made_up(NOT_MADE))["visibility"] == "after_published"
    assert "visibility" not in gradescope(made_up(PASSED, PASSED, NOT_MADE))


def test_gradescope_shows_the_instructors_word_and_no_instruction_for_the_instructor() -> None:
    grade = made_up(PASSED, NOT_MADE, FAILED)
    first, open_one, failed = grade.verdicts
    words = "Student: print it. Instructor: run it by hand."
    grade = replace(
        grade,
        verdicts=(
            replace(first, overridden="well done"),
            replace(open_one, seen="It needs timm. Instructor: pip install it.", remedy=words),
            replace(failed, remedy=words),
        ),
        comment="See me.",
        late_days=1,
        deduction=2.0,
    )
    results = gradescope(grade)
    text = json.dumps(results)
    assert "well done" in text
    assert "See me." in results["output"]
    assert "2 deducted for 1 late day" in results["output"]
    assert math.isclose(results["score"], (5 - 2) / 10 * 15)
    assert text.count("print it.") == 2
    assert "by hand" not in text
    assert "pip install" not in text


def test_junit_tells_failures_from_what_was_not_looked_at() -> None:
    suite = ElementTree.fromstring(junit(MIXED).encode())[0]  # noqa: S314 (our own)
    assert (suite.get("failures"), suite.get("skipped"), suite.get("errors")) == ("1", "2", "0")
    assert [len(case) for case in suite] == [0, 1, 1, 1]


@pytest.mark.parametrize("name", HOSTILE)
def test_junit_can_be_parsed_whatever_is_in_it(name: str) -> None:
    grade = made_up(FAILED, submission=name)
    verdict = replace(grade.verdicts[0], seen=f"{name}\ud800\x00]]>", remedy=name)
    text = junit(replace(grade, verdicts=(verdict,)))
    suite = ElementTree.fromstring(text.encode("utf-8"))[0]  # noqa: S314 (our own)
    assert suite.get("name") == shown_name(name)


def test_a_terminal_is_told_what_was_expected_and_what_to_do_and_is_not_steered() -> None:
    text = text_table(MIXED)
    assert text.count("expected: expected") == 2
    assert "to do:    remedy" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    many = text_table(made_up(PASSED, FAILED, *[BLOCKED] * 6, *[NOT_MADE] * 5)).splitlines()
    assert sum("checks wait: <b>seen" in line for line in many) == 2, "blocked, not made"
    assert any(line.startswith("–   0/30  6 checks wait: ") for line in many)


def test_the_sum_in_one_line_says_what_was_deducted() -> None:
    grade = replace(made_up(PASSED, PASSED, FAILED), late_days=2, deduction=3.0)
    assert summary(grade) == "7 of 15 points (2 passed, 1 failed, 3 deducted for 2 late days)"


def test_the_grade_stays_the_graders_and_the_rest_shows_the_instructors(tmp_path: Path) -> None:
    shown = replace(MIXED, comment="See me.", deduction=1.0)
    write_reports(MIXED, tmp_path, shown)
    assert read_grade(tmp_path) == MIXED
    assert "See me." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "See me." in (tmp_path / "results.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "[]", "null", '{"verdicts": 1}', "[" * 100_000, "{}"])
def test_a_damaged_grade_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "grade.json").write_text(content)
    assert read_grade(tmp_path) is None
