"""The class as a table that spreadsheets open: `grades.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cifar_lab.grading.reports.figures import hints, minutes, parameters, percentage
from cifar_lab.grading.reports.markup import address
from cifar_lab.grading.reports.points import needs_a_look, number, percent
from cifar_lab.grading.reports.readable import one_line, people, shown_name
from cifar_lab.grading.reports.spreadsheet import cell
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, Grade, Verdict

COLUMNS = (
    "submission",
    "status",
    "points",
    "of",
    "points not made",
    "percent",
    "measured accuracy",
    "reported accuracy",
    "parameters",
    "training minutes",
    "grading minutes",
    "late days",
    "deduction",
    "not made",
    "reasons",
    "hints",
    "comment",
    "isolation",
    "weights",
    "page",
)
LONGEST_REASONS = 1_000


def grades_csv(
    grades: Iterable[Grade],
    without_grade: Iterable[str] = (),
    waiting: Iterable[str] = (),
    students: Iterable[Any] = (),
) -> str:
    r"""Return the class's table: one row per student, one column per check.

    An apostrophe in front of a text keeps a spreadsheet from computing it, or from taking an id for
    a number. Names have escapes such as `\xff` for what is no character, by which their folders
    can be found.

    Args:
        grades: Grades of the class, with the instructor's word on them.
        without_grade: Submissions at which the grader itself failed: named, without points.
        waiting: Submissions that the grader did not reach.
        students: Students as they were collected, see `collecting`.
    """
    rows = sorted(grades, key=lambda grade: grade.submission)
    checks = list(dict.fromkeys(verdict.check for grade in rows for verdict in grade.verdicts))
    known = {str(one.folder): one for one in students}
    ids = list(dict.fromkeys(str(key) for one in known.values() for key in one.ids))
    names = ["name", "by the site", *ids] if known else []
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([COLUMNS[0], *map(cell, names), *COLUMNS[1:], *map(cell, checks)])
    for grade in rows:
        about = _about(known.get(grade.submission), ids) if known else []
        by_check = {verdict.check: verdict for verdict in grade.verdicts}
        cells = ["" if check not in by_check else _cell_of(by_check[check]) for check in checks]
        writer.writerow([_name(grade.submission), *about, *_figures(grade), *cells])
    for status, some in (("grader error", without_grade), ("not graded yet", waiting)):
        for name in sorted(some):
            about = _about(known.get(name), ids) if known else []
            rest = dict.fromkeys(COLUMNS[2:], "")
            rest["reasons"] = cell(one_line(getattr(known.get(name), "problem", "")))
            writer.writerow([_name(name), *about, status, *rest.values(), *[""] * len(checks)])
    return file.getvalue()


def _about(student: Any | None, ids: Sequence[str]) -> list[str]:
    """Return the cells on who handed in: names, whether the site calls it late, and ids."""
    if student is None:
        return [""] * (2 + len(ids))
    late = "late" if getattr(student, "late", False) else ""
    return [_name(people(student)), late, *(_name(str(student.ids.get(key, ""))) for key in ids)]


def _name(name: str) -> str:
    return cell(shown_name(name))


def _figures(grade: Grade) -> list[str]:
    """Return the cells of all columns but the first."""
    share, size, time = percent(grade), parameters(grade), minutes(grade)
    return [
        "needs a look" if needs_a_look(grade) else "graded",
        number(grade.earned),
        number(grade.possible),
        number(sum(verdict.points for verdict in grade.not_made)),
        "" if share is None else number(share),
        _percentage(grade, "measured_accuracy"),
        _percentage(grade, "reported_accuracy"),
        "" if size is None else str(size),
        "" if time is None else number(time),
        number(grade.seconds / 60),
        str(grade.late_days),
        number(grade.deduction),
        " ".join(verdict.check for verdict in grade.not_made),
        cell(one_line(_reasons(grade), LONGEST_REASONS)),
        cell(one_line("; ".join(f"{kind}: {text}" for kind, text in hints(grade)), 1_000)),
        cell(one_line(grade.comment, 1_000)),
        cell(grade.isolation),
        _weights(grade),
        address(grade.submission, "report.html"),
    ]


def _percentage(grade: Grade, name: str) -> str:
    value = percentage(grade, name)
    return "" if value is None else f"{value:.2f}"


def _reasons(grade: Grade) -> str:
    """Return why points are missing: each failed check, and each cause of what was not made."""
    said = []
    for verdict in grade.verdicts:
        if verdict.overridden:
            said.append(
                f"{verdict.check} ({number(verdict.earned)}, instructor): {verdict.overridden}"
            )
        elif verdict.status == FAILED:
            said.append(f"{verdict.check}: {one_line(verdict.seen, 120)}")
        elif verdict.status == NOT_MADE:
            said.append(f"not made: {one_line(verdict.seen, 120)}")
    blocked = sum(verdict.status == BLOCKED for verdict in grade.verdicts)
    said += [f"{blocked} blocked"] if blocked else []
    return "; ".join(dict.fromkeys(said))


def _weights(grade: Grade) -> str:
    digest = grade.facts.get("weights_sha256")
    return f"sha256:{digest[:16]}" if isinstance(digest, str) else ""


def _cell_of(verdict: Verdict) -> str:
    return "" if verdict.status == NOT_MADE else number(verdict.earned)
