"""The instructor's word above the grader's, and other points for the same verdicts."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.course_file import read_course_file
from cifar_lab.grading.overrides import Override, apply_override, read_overrides
from cifar_lab.grading.rescoring import rescored
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict

SETTINGS = Settings("a")
STUDENTS = ["anna", "bert", "Zoë Ω", "carl.j"]
ANNA = """
late_penalty = 10
[students.anna]
late_days = 2
comment = "Handed in by e-mail."
checks.findings_written = { points = 8, reason = "Five good points, as a list." }
checks.parameter_count = { points = 10, reason = "The smallest of all.", bonus = true }
"""


def grade_with(settings: Settings = SETTINGS, **statuses: str) -> Grade:
    """Return a grade in which all checks passed but those that are named."""
    verdicts = [
        Verdict(
            check.name,
            check.title,
            statuses.get(check.name, PASSED),
            points,
            points if statuses.get(check.name, PASSED) == PASSED else 0.0,
            "expected",
            "seen",
        )
        for check, points in checks_of(settings).items()
    ]
    return Grade("anna", settings.assignment, "cifar10", tuple(verdicts), 1.0, "process", {}, "abc")


def verdict_of(grade: Grade, check: str) -> Verdict:
    (verdict,) = (one for one in grade.verdicts if one.check == check)
    return verdict


def written(folder: Path, text: str, name: str = "overrides.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_points_reasons_late_days_and_a_comment_are_read(tmp_path: Path) -> None:
    overrides = read_overrides(written(tmp_path, ANNA), SETTINGS, STUDENTS)
    assert dict(overrides) == {
        "anna": Override(
            {"findings_written": 8, "parameter_count": 10},
            {
                "findings_written": "Five good points, as a list.",
                "parameter_count": "The smallest of all.",
            },
            2,
            "Handed in by e-mail.",
        )
    }
    assert overrides.late_penalty == 10


def test_json_says_the_same_and_is_all_that_an_old_python_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_toml = written(tmp_path, ANNA)
    as_json = written(tmp_path, json.dumps(read_course_file(as_toml, "any")), "overrides.json")
    expected = read_overrides(as_toml, SETTINGS, STUDENTS)
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    assert read_overrides(as_json, SETTINGS, STUDENTS) == expected
    with pytest.raises(ValueError, match=r"TOML needs Python 3\.11; write the overrides as \.json"):
        read_overrides(as_toml, SETTINGS, STUDENTS)


def test_no_file_and_an_empty_one_change_nothing(tmp_path: Path) -> None:
    for path in (None, written(tmp_path, "")):
        overrides = read_overrides(path, SETTINGS, STUDENTS)
        assert not overrides
        assert overrides.applied_to(grade_with()) == grade_with()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("late_penalty = \n", ["at line 1"]),
        ("[students.anna]\nlate_days = 1\nlate_days = 2\n", ["Cannot overwrite", "line 3"]),
        ("late_penality = 10", ["entry 'late_penality'", "Did you mean 'late_penalty'"]),
        ("late_penalty = 101", ["late_penalty is 101", "0 to 100"]),
        ("late_penalty = nan", ["late_penalty is nan"]),
        ("students = 3", ["students is 3", "expected a table"]),
        ("students.anna = 3", ["students.anna is 3", "expected a table"]),
        ("students.ana.late_days = 1", ["students.ana: no submission", "'anna'"]),
        ("students.carl.j.late_days = 1", ["students.carl: no submission", "'carl.j'"]),
        ("students.anna.late_day = 1", ["students.anna", "Did you mean 'late_days'"]),
        ("students.anna.late_days = -1", ["students.anna.late_days is -1", "whole days"]),
        ("students.anna.late_days = inf", ["students.anna.late_days is inf"]),
        ("students.anna.late_days = true", ["students.anna.late_days is True"]),
        ("students.anna.comment = 3", ["students.anna.comment is 3", "a text"]),
        (
            "students.anna.checks.findings_writen = { points = 1, reason = 'x' }",
            ["students.anna.checks.findings_writen", "Did you mean 'findings_written'", "Known:"],
        ),
        (
            "students.anna.checks.choices_discussed = { points = 1, reason = 'x' }",
            ["don't have the check 'choices_discussed'", "findings_written"],
        ),
        ("students.anna.checks.findings_written = 8", ["is 8; expected points and a reason"]),
        (
            "students.anna.checks.findings_written = { points = 8 }",
            ["findings_written.reason is None", "which the student reads"],
        ),
        (
            "students.anna.checks.findings_written = { points = 8, reason = ' ' }",
            ["findings_written.reason is ' '"],
        ),
        (
            "students.anna.checks.findings_written = { points = 80, reason = 'x' }",
            ["findings_written.points is 80", "worth 10", "bonus = true"],
        ),
        (
            "students.anna.checks.findings_written = { points = -1, reason = 'x' }",
            ["findings_written.points is -1", "from 0 to 10"],
        ),
        (
            "students.anna.checks.findings_written = { points = inf, bonus = true, reason = 'x' }",
            ["findings_written.points is inf"],
        ),
        (
            "students.anna.checks.findings_written = { point = 8, reason = 'x' }",
            ["'point'", "Did you mean 'points'"],
        ),
    ],
)
def test_an_error_names_the_entry_and_what_was_expected(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"overrides\.toml") as raised:
        read_overrides(written(tmp_path, text), SETTINGS, STUDENTS)
    for part in parts:
        assert part in str(raised.value)


def test_a_name_that_json_has_twice_is_refused(tmp_path: Path) -> None:
    text = '{"students": {"anna": {"late_days": 1}, "anna": {"late_days": 2}}}'
    with pytest.raises(ValueError, match="'anna' is there twice"):
        read_overrides(written(tmp_path, text, "overrides.json"), SETTINGS, STUDENTS)


def test_a_class_of_hundreds_is_not_listed_in_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, "students.quite_another.late_days = 1")
    with pytest.raises(ValueError, match="and 290 others") as raised:
        read_overrides(path, SETTINGS, [f"student {number:03}" for number in range(300)])
    assert len(str(raised.value)) < 600


def test_an_accent_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    apart = "Zoe\u0308 Ω"
    path = written(tmp_path, f'students."{apart}".late_days = 1')
    overrides = read_overrides(path, SETTINGS, STUDENTS)
    assert overrides["Zoë Ω"] == overrides[apart] == Override(late_days=1)


def test_the_instructors_points_replace_the_graders_and_give_the_reason() -> None:
    graded = grade_with(findings_written=FAILED)
    shown = apply_override(graded, Override({"findings_written": 8.0}, {"findings_written": "So."}))
    verdict = verdict_of(shown, "findings_written")
    assert (verdict.status, verdict.earned, verdict.overridden) == (FAILED, 8, "So.")
    assert (graded.earned, shown.earned, shown.possible) == (90, 98, 100)
    assert all(not one.overridden for one in shown.verdicts if one is not verdict)


@pytest.mark.parametrize("status", [FAILED, BLOCKED, NOT_MADE, PASSED])
def test_all_points_pass_a_check_and_none_fail_it_whatever_the_grader_found(status: str) -> None:
    graded = grade_with(findings_written=status)
    for points, expected in ((10.0, PASSED), (0.0, FAILED), (12.0, PASSED)):
        word = Override({"findings_written": points}, {"findings_written": "So."})
        shown = apply_override(graded, word)
        assert verdict_of(shown, "findings_written").status == expected
        assert (shown.earned, shown.possible) == (90 + points, 100)
        assert shown.not_made == ()


def test_late_days_cost_a_share_of_what_was_possible_and_no_more_than_was_earned() -> None:
    graded = grade_with(accuracy_agrees=NOT_MADE)
    assert (graded.earned, graded.possible) == (92, 92)
    for days, penalty, earned in ((0, 10, 92), (1, 0, 92), (2, 10, 73.6), (11, 10, 0)):
        shown = apply_override(graded, Override(late_days=days), penalty)
        assert (shown.earned, shown.late_days) == (pytest.approx(earned), days)
    little = replace(
        graded, verdicts=graded.verdicts[:1] + grade_with(cells_in_order=FAILED).verdicts[1:2]
    )
    assert apply_override(little, Override(late_days=5), 10).earned == 0


def test_no_override_leaves_the_grade_as_it_is() -> None:
    assert apply_override(grade_with(), None, 10) == grade_with()


def test_other_points_keep_each_checks_share() -> None:
    graded = grade_with(findings_written=FAILED, output_shape=BLOCKED, accuracy_agrees=NOT_MADE)
    verdicts = tuple(
        replace(one, earned=3.3) if one.check == "findings_written" else one
        for one in graded.verdicts
    )
    other = replace(
        SETTINGS, points={"findings_written": 20, "parameter_count": 3, "cells_in_order": 0}
    )
    again = rescored(replace(graded, verdicts=verdicts), other)
    assert again is not None
    assert [one.check for one in again.verdicts] == [check.name for check in checks_of(other)]
    by_check = {one.check: (one.points, one.earned, one.status) for one in again.verdicts}
    assert by_check["findings_written"] == (20, 6.6, FAILED)
    assert by_check["parameter_count"] == (3, 3, PASSED)
    assert by_check["output_shape"] == (4, 0, BLOCKED)
    assert by_check["accuracy_agrees"] == (8, 0, NOT_MADE)
    assert "cells_in_order" not in by_check


def test_the_same_points_give_the_same_grade() -> None:
    graded = grade_with(findings_written=FAILED)
    assert rescored(graded, SETTINGS) == graded


def test_a_check_that_the_grade_lacks_has_to_be_made() -> None:
    graded = grade_with(replace(SETTINGS, points={"cells_in_order": 0}))
    assert rescored(graded, SETTINGS) is None
    assert rescored(grade_with(), Settings("b")) is None
