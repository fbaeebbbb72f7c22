"""A grade as Gradescope's autograder reads it (results.json).

The format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cifar_lab.grading.reports.points import deducted, number, scaled, total
from cifar_lab.grading.reports.readable import STUDENT, readable, reason_for_student, said_to
from cifar_lab.grading.reports.terminal import details, summary
from cifar_lab.grading.verdicts import NOT_MADE, PASSED, Grade, Verdict


def gradescope(grade: Grade) -> dict[str, Any]:
    """Return the grade out of all the assignment's points, which is Gradescope's maximum.

    Gradescope knows no check that could not be made. Such a one has no points there, and the score
    is the share that was earned of the others. Where they are less than half, students see nothing
    before the instructor publishes the grades.
    """
    result: dict[str, Any] = {
        "score": scaled(grade),
        "execution_time": round(grade.seconds),
        "output": _explained(grade),
        "output_format": "text",
        "tests": [_test(verdict) for verdict in grade.verdicts],
        "extra_data": {
            "earned": grade.earned,
            "possible": grade.possible,
            "not_made": [verdict.check for verdict in grade.not_made],
        },
    }
    if grade.possible < total(grade) / 2:
        result["visibility"] = "after_published"
    return result


def _explained(grade: Grade) -> str:
    lines = [summary(grade)]
    if grade.not_made:
        missing, every = total(grade) - grade.possible, total(grade)
        lines.append(
            f"{number(missing)} of {number(every)} points could not be looked at (not made), which "
            "counts neither for nor against you: the score is "
            + (
                f"{number(grade.earned)} / {number(grade.possible)} × {number(every)} = "
                f"{number(scaled(grade))}."
                if grade.possible
                else "0 until your instructor has looked."
            )
        )
    if deducted(grade):
        lines.append(f"Your instructor's word: {deducted(grade)}.")
    if grade.comment:
        lines.append(f"Your instructor's comment: {readable(grade.comment)}")
    return "\n".join(lines)


def _test(verdict: Verdict) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": verdict.title,
        "output_format": "text",
        "visibility": "visible",
    }
    if verdict.status == NOT_MADE:  # without a score or a status it is neither green nor red
        test["name"] = f"Not made: {verdict.title}"
        reason = reason_for_student(verdict)
        test["output"] = f"not made: this counts neither for nor against you.\n{reason}"
        return test
    to_student = replace(verdict, remedy=said_to(STUDENT, verdict.remedy))
    return test | {
        "score": verdict.earned,
        "max_score": verdict.points,
        "status": "passed" if verdict.status == PASSED else "failed",
        "output": f"{verdict.status}\n{details(to_student)}",
    }
