"""Other points for the same verdicts: nothing of a student's is run for that."""

from __future__ import annotations

from dataclasses import replace

from cifar_lab.grading.checks.table import checks_of
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import PASSED, Grade, Verdict


def rescored(grade: Grade, settings: Settings) -> Grade | None:
    """Return a grade with the points that settings give.

    A student who earned a part of a check's points earns the same part of the others. Give it the
    grade as it was found, not one that it has returned: each time, points are rounded to a tenth,
    and a check with 0 points is left out.

    Args:
        grade: Grader's own grade, by any points.
        settings: Settings that it is to have the points of.

    Returns:
        The same grade with other points, in the order of the table; None where a check is asked for
        that the grade does not have, so that the submission has to be graded again.
    """
    found = {verdict.check: verdict for verdict in grade.verdicts}
    wanted = {check.name: points for check, points in checks_of(settings).items()}
    if grade.assignment != settings.assignment or not wanted.keys() <= found.keys():
        return None
    return replace(
        grade, verdicts=tuple(_worth(found[name], points) for name, points in wanted.items())
    )


def _worth(verdict: Verdict, points: float) -> Verdict:
    """Return a verdict on a check that is worth other points than it was."""
    if points == verdict.points:
        return verdict
    if verdict.status == PASSED or not verdict.points:
        earned = points if verdict.status == PASSED else 0.0
    else:
        earned = round(points * verdict.earned / verdict.points, 1)
    return replace(verdict, points=points, earned=earned)
