"""The instructor's word: points, late days and comments that stand above the grader's.

    late_penalty = 10                      # percent of the possible points for each late day

    [students."Anna Muster"]               # the name of the row in grades.csv
    late_days = 1
    comment = "Handed in by e-mail."
    checks.choices_discussed = { points = 8, reason = "Five good points, as a list." }
    checks.parameter_count = { points = 10, reason = "The smallest of all.", bonus = true }

The file is the instructor's and is only read: it holds whenever the class is graded again.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cifar_lab.grading.checks.table import CHECKS, checks_of
from cifar_lab.grading.course_file import read_course_file
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import FAILED, PASSED, Grade, Verdict
from cifar_lab.utils.errors import unknown_name

IN_FILE = ("late_penalty", "students")
OF_STUDENT = ("checks", "late_days", "comment")
OF_CHECK = ("points", "reason", "bonus")
EXAMPLE = '{ points = 4, reason = "Why." }'
MOST = 1e6  # days, points: more is a slip
MOST_NAMED = 10  # students in an error


@dataclass(frozen=True)
class Override:
    """An instructor's word on one student.

    Attributes:
        points: Points by check, in place of the grader's.
        reasons: Reason for each of them, for the student.
        late_days: Days after the deadline.
        comment: Comment for the student; "" for none.
    """

    points: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    late_days: int = 0
    comment: str = ""


@dataclass(frozen=True)
class Overrides(Mapping[str, Override]):
    """An instructor's word on a class, by the student's name.

    Names are the same whether a system writes an accent as part of a letter or after it.

    Attributes:
        of: Overrides by name, as `same_name` writes it.
        late_penalty: Percent of the possible points that each late day costs.
    """

    of: Mapping[str, Override] = field(default_factory=dict)
    late_penalty: float = 0.0

    def __getitem__(self, student: str) -> Override:
        return self.of[same_name(student)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def __len__(self) -> int:
        return len(self.of)

    def applied_to(self, grade: Grade) -> Grade:
        """Return a student's grade with the instructor's word on it, if there is one."""
        return apply_override(grade, self.get(grade.submission), self.late_penalty)


def same_name(name: str) -> str:
    """Return a name as it is compared: macOS takes letters and their accents apart."""
    return unicodedata.normalize("NFC", name)


def read_overrides(
    path: Path | None, settings: Settings, students: Iterable[str] | None = None
) -> Overrides:
    """Return what an instructor's file says; nothing is taken that is not meant for sure.

    A check gets from 0 to as many points as it is worth, or with `bonus = true` more; each needs a
    reason.

    Args:
        path: TOML or JSON file; None for no overrides.
        settings: Settings of the class, which say what checks there are and what they are worth.
        students: Names of the class's students; None if any name is right.

    Raises:
        ValueError: The file can't be read, or an entry is none of the class's; the message names
            the entry, and what was expected.
    """
    if path is None:
        return Overrides()
    content = read_course_file(path, "overrides")
    try:
        return _overrides(content, settings, None if students is None else list(students))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _overrides(
    content: Mapping[str, Any], settings: Settings, students: Collection[str] | None
) -> Overrides:
    _expect_names(content, IN_FILE, "entry")
    worth = {check.name: points for check, points in checks_of(settings).items()}
    penalty = content.get("late_penalty", 0.0)
    if not (is_number(penalty) and 0 <= penalty <= 100):
        raise ValueError(
            f"late_penalty is {penalty!r}; expected percent of the possible points for each late "
            "day, from 0 to 100."
        )
    known = None if students is None else {same_name(name) for name in students}
    found: dict[str, Override] = {}
    for given, entry in _table(content.get("students", {}), "students").items():
        name = same_name(given)
        if known is not None and name not in known:
            raise ValueError(_unknown_student(given, known))
        if name in found:
            raise ValueError(f"The student {name!r} is there twice.")
        found[name] = _override(_table(entry, f"students.{given}"), f"students.{given}", worth)
    return Overrides(found, float(penalty))


def _override(entry: Mapping[str, Any], place: str, worth: Mapping[str, float]) -> Override:
    _expect_names(entry, OF_STUDENT, f"entry in {place}")
    days, comment = entry.get("late_days", 0), entry.get("comment", "")
    if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= MOST:
        raise ValueError(f"{place}.late_days is {days!r}; expected whole days, 0 or more.")
    if not isinstance(comment, str):
        raise ValueError(f"{place}.comment is {comment!r}; expected a text.")
    points, reasons = {}, {}
    for check, word in _table(entry.get("checks", {}), f"{place}.checks").items():
        where = f"{place}.checks.{check}"
        if check not in worth:
            raise ValueError(f"{where}: {_unknown_check(check, worth)}")
        if not isinstance(word, Mapping):
            raise ValueError(f"{where} is {word!r}; expected points and a reason: {EXAMPLE}")
        points[check], reasons[check] = _word_on_check(word, where, worth[check])
    return Override(points, reasons, days, comment.strip())


def _word_on_check(word: Mapping[str, Any], where: str, worth: float) -> tuple[float, str]:
    """Return the points that an entry gives a check, and the reason."""
    _expect_names(word, OF_CHECK, f"entry in {where}")
    points, reason, bonus = word.get("points"), word.get("reason"), word.get("bonus", False)
    if not isinstance(bonus, bool):
        raise ValueError(f"{where}.bonus is {bonus!r}; expected true or false.")
    if not (is_number(points) and 0 <= points <= MOST):
        raise ValueError(f"{where}.points is {points!r}; expected a number from 0 to {worth:g}.")
    if points > worth and not bonus:
        raise ValueError(
            f"{where}.points is {points:g}; the check is worth {worth:g}. Expected a number from 0 "
            f"to {worth:g}; for more, add bonus = true to the entry."
        )
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(
            f"{where}.reason is {reason!r}; expected a text, which the student reads: {EXAMPLE}"
        )
    return float(points), reason.strip()


def _table(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{place} is {value!r}; expected a table (an object) of names and values.")
    return value


def _expect_names(entry: Mapping[str, Any], known: Iterable[str], kind: str) -> None:
    for name in entry:
        if name not in known:
            raise unknown_name(kind, name, known)


def _unknown_check(name: str, worth: Mapping[str, float]) -> str:
    if name in CHECKS:
        return (
            f"This assignment and its settings don't have the check {name!r}. They have "
            f"{', '.join(worth)}."
        )
    return str(unknown_name("check", name, worth))


def _unknown_student(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    some = near or sorted(known)[:MOST_NAMED]
    rest = len(known) - len(some)
    others = f" and {rest} others" if rest else ""
    return (
        f"students.{name}: no submission has this name. Expected one as in grades.csv: "
        f"{', '.join(map(repr, some))}{others}. A student who handed nothing in has no entry."
    )


def apply_override(grade: Grade, override: Override | None, late_penalty: float = 0.0) -> Grade:
    """Return the grade as the instructor has it.

    A check with the instructor's points passes with all that it is worth, and fails with fewer; one
    that could not be made counts from then on. What late days cost is a share of the points that
    were possible, and is taken off the sum.

    Args:
        grade: Grader's own grade.
        override: Instructor's word on this student; None leaves the grade as it is.
        late_penalty: Percent of the possible points for each late day.
    """
    if override is None:
        return grade
    verdicts = tuple(
        _overridden(one, override.points[one.check], override.reasons[one.check])
        if one.check in override.points
        else one
        for one in grade.verdicts
    )
    judged = replace(
        grade, verdicts=verdicts, comment=override.comment, late_days=override.late_days
    )
    share = min(1.0, override.late_days * late_penalty / 100)
    return replace(judged, deduction=round(judged.possible * share, 2))


def _overridden(verdict: Verdict, points: float, reason: str) -> Verdict:
    status = PASSED if points >= verdict.points else FAILED
    return replace(verdict, status=status, earned=points, overridden=reason)
