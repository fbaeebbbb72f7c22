"""The parts of the class page on what an instructor has to look at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cifar_lab.grading.reports import charts
from cifar_lab.grading.reports.class_parts import (
    ERROR,
    MOST_NAMED,
    names_list,
    student_link,
    table_of,
)
from cifar_lab.grading.reports.figures import hints as hints_of
from cifar_lab.grading.reports.markup import Markup, joined, tag
from cifar_lab.grading.reports.points import number
from cifar_lab.grading.reports.readable import one_line, people, readable, shown_name
from cifar_lab.grading.verdicts import Grade, Verdict
from cifar_lab.utils.wording import counted, duration

MOST_SLOW = 10
NUMBERS = re.compile(r"[\d.,]+")  # cells and figures, by which reasons of one kind differ
LONGEST_KIND = 80


def open_matters(
    grades: Sequence[Grade],
    without_grade: Sequence[str],
    waiting: Sequence[str],
    problems: Mapping[str, str],
) -> Markup | None:
    """Return what the grader could not do.

    Args:
        grades: Grades of the class.
        without_grade: Submissions at which the grader itself failed.
        waiting: Submissions that it did not reach.
        problems: Reasons why files could not be collected, by submission; they wait as well.
    """
    parts: list[Markup] = []
    if without_grade:
        parts += [
            tag("h3", f"Grader errors: {len(without_grade)}"),
            tag(
                "p",
                "The grader itself failed: no grade and no zero. Each link is the error's text.",
            ),
            names_list(without_grade, ERROR),
        ]
    if problems:
        parts += [
            tag("h3", f"Not collected: {len(problems)}"),
            tag("p", "No grade and no zero, since the files can't be read as a submission."),
            tag("ul", *(_problem(name, why) for name, why in problems.items())),
        ]
    waiting = [name for name in waiting if name not in problems]
    if waiting:
        parts += [
            tag("h3", f"Not graded yet: {len(waiting)}"),
            tag("p", "The same command resumes."),
            names_list(waiting, None),
        ]
    parts += _not_made(grades)
    return joined(parts) if parts else None


def _problem(name: str, why: str) -> Markup:
    return tag("li", tag("bdi", shown_name(name)), f": {one_line(why, 300)}")


def _not_made(grades: Sequence[Grade]) -> list[Markup]:
    """Return each reason why checks were not made, once, with the students."""
    reasons: dict[tuple[str, str], dict[str, list[Verdict]]] = {}
    for grade in grades:
        for verdict in grade.not_made:
            kind = NUMBERS.sub("", one_line(verdict.seen, LONGEST_KIND))
            students = reasons.setdefault((kind, verdict.remedy), {})
            students.setdefault(grade.submission, []).append(verdict)
    if not reasons:
        return []
    parts = [
        tag("h3", "Not made"),
        tag(
            "p",
            "A check that could not be made counts neither for nor against a student. Make it "
            "possible and grade again, or give the points in overrides.toml.",
        ),
    ]
    ordered = sorted(reasons.values(), key=lambda students: -len(students))
    parts += [_reason(students) for students in ordered[:MOST_NAMED]]
    if len(ordered) > MOST_NAMED:
        parts.append(tag("p", f"And {len(ordered) - MOST_NAMED} more reasons: see grades.csv."))
    return parts


def _reason(students: Mapping[str, Sequence[Verdict]]) -> Markup:
    verdicts = [one for some in students.values() for one in some]
    points = number(max(sum(one.points for one in some) for some in students.values()))
    checks = ", ".join(dict.fromkeys(one.check for one in verdicts))
    remedy = verdicts[0].remedy
    return tag(
        "div",
        tag("p", tag("b", f"{counted(len(students), 'student')}, {points} points: {checks}")),
        tag("p", one_line(verdicts[0].seen, 600)),
        tag("p", readable(remedy)) if remedy else None,
        names_list(list(students)),
        class_="cause",
    )


def hints(grades: Sequence[Grade]) -> Markup | None:
    """Return the evidence on each submission that only a person can judge."""
    found = [(grade, kind, text) for grade in grades for kind, text in hints_of(grade)]
    if not found:
        return None
    rows = [
        tag(
            "tr",
            tag("th", student_link(grade.submission), scope="row"),
            tag("td", one_line(kind, 60)),
            tag("td", one_line(text, 400)),
        )
        for grade, kind, text in found
    ]
    heads = dict.fromkeys(("Student", "Hint", "Evidence"))
    return joined(
        [
            tag(
                "p",
                "Evidence, and no proof: no points were taken for it, and students don't see it.",
            ),
            table_of(heads, rows, "Hints"),
        ]
    )


def slowest(grades: Sequence[Grade]) -> Markup | None:
    """Return the submissions that took the grader longest."""
    slow = sorted(grades, key=lambda grade: -grade.seconds)[:MOST_SLOW]
    if not slow or slow[0].seconds <= 0:
        return None
    rows = []
    for grade in slow:
        share = grade.seconds / slow[0].seconds
        bar = charts.share_bar([("passed", share)], duration(grade.seconds))
        rows.append(
            tag(
                "tr",
                tag("th", student_link(grade.submission), scope="row"),
                tag("td", duration(grade.seconds), class_="n", data_v=grade.seconds),
                tag("td", bar),
            )
        )
    heads = {"Student": None, "Time": "n", "Beside the slowest": "picture"}
    return table_of(heads, rows, "Slowest", class_="narrow")


def files(students: Sequence[Any], ignored: Sequence[tuple[str, str]]) -> Markup | None:
    """Return which file became which student's, and what was left out and why.

    Args:
        students: Students with `folder`, `name`, `ids` and `files`.
        ignored: Names of files, each with the reason.
    """
    parts = []
    if ignored:
        rows = [
            tag(
                "tr",
                tag("th", tag("bdi", shown_name(str(name))), scope="row"),
                tag("td", one_line(why, 300)),
            )
            for name, why in ignored
        ]
        parts += [
            tag("h3", f"Left out: {len(ignored)}"),
            table_of(dict.fromkeys(("File", "Why")), rows, "Left out"),
        ]
    collected = [one for one in students if getattr(one, "files", None)]
    if collected:
        rows = [
            tag(
                "tr",
                tag("th", tag("bdi", shown_name(str(one.folder))), scope="row"),
                tag("td", tag("bdi", shown_name(people(one)))),
                tag("td", ", ".join(f"{key} {value}" for key, value in dict(one.ids).items())),
                tag("td", *_files_of(one.files)),
            )
            for one in collected
        ]
        heads = dict.fromkeys(("Folder", "Name", "Ids", "Files"))
        table = table_of(heads, rows, "Collected")
        parts.append(
            tag("details", tag("summary", f"Which file became whose: {len(collected)}"), table)
        )
    return joined(parts) if parts else None


def _files_of(files: Any) -> list[Markup]:
    pairs = dict(files).items() if hasattr(files, "items") else [(one, "") for one in files]
    lines = [
        f"{shown_name(str(a))} → {shown_name(str(b))}" if b else shown_name(str(a))
        for a, b in pairs
    ]
    return [tag("div", tag("small", tag("bdi", line))) for line in lines]
