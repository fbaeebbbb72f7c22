"""A grade as plain text: for a terminal, a notebook and other programs."""

from __future__ import annotations

from cifar_lab.grading.reports.causes import by_cause
from cifar_lab.grading.reports.points import deducted, number
from cifar_lab.grading.reports.readable import readable
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict

SIGNS = {PASSED: "✓", FAILED: "✗", BLOCKED: "–", NOT_MADE: "?"}


def summary(grade: Grade) -> str:
    """Return one line: the points, and the number of checks by status."""
    counts = dict.fromkeys(SIGNS, 0)
    for verdict in grade.verdicts:
        counts[verdict.status] += 1
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    parts += [deducted(grade)] if deducted(grade) else []
    return f"{number(grade.earned)} of {number(grade.possible)} points ({', '.join(parts)})"


def details(verdict: Verdict) -> str:
    """Return as plain text what was expected, what was seen and how to fix it."""
    lines = [f"expected: {verdict.expected}", f"seen:     {verdict.seen}"]
    lines += [f"to do:    {verdict.remedy}"] if verdict.remedy else []
    lines += [f"instructor's word: {verdict.overridden}"] if verdict.overridden else []
    return readable("\n".join(lines))


def text_table(grade: Grade) -> str:
    """Return all verdicts for a terminal or a notebook; details where a check did not pass.

    Several that were blocked, or could not be made, for one reason have one line.
    """
    lines = []
    for group in by_cause(grade.verdicts):
        first = group[0]
        earned, possible = (sum(map(float, some)) for some in _points(group))
        several = len(group) > 1
        title = f"{len(group)} checks wait: {first.seen}" if several else first.title
        points = f"{number(earned)}/{number(possible)}"
        lines.append(f"{SIGNS[first.status]} {points:>6}  {readable(title)}")
        if first.status in (FAILED, NOT_MADE) or first.overridden:
            text = readable(first.remedy) if several else details(first)
            lines += [f"          {line}" for line in text.splitlines()]
    lines += [f"Instructor: {readable(grade.comment)}"] if grade.comment else []
    return "\n".join([*lines, summary(grade)])


def _points(group: list[Verdict]) -> tuple[list[float], list[float]]:
    return [one.earned for one in group], [one.points for one in group]
