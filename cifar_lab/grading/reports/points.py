"""Points as they are shown, and as other systems count them."""

from __future__ import annotations

from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.wording import counted

NO_REASON_TO_LOOK = ("time_within_limit",)  # by itself, where it could not be made


def number(points: float) -> str:
    """Return points without needless zeros: 2, 2.5, 98."""
    return f"{round(points, 2):g}"


def total(grade: Grade) -> float:
    """Return the points of all checks, those that could not be made among them."""
    return sum(verdict.points for verdict in grade.verdicts)


def needs_a_look(grade: Grade) -> bool:
    """Return whether an instructor has to look: most editors record no time of training."""
    return any(verdict.check not in NO_REASON_TO_LOOK for verdict in grade.not_made)


def percent(grade: Grade) -> float | None:
    """Return how much was earned of what was possible; None where nothing could be looked at."""
    return 100 * grade.earned / grade.possible if grade.possible else None


def scaled(grade: Grade) -> float:
    """Return the share that was earned of what was possible, as points of the whole assignment.

    A check that could not be made counts neither for nor against the student in that way.
    """
    share = percent(grade)
    return 0.0 if share is None else round(share / 100 * total(grade), 2)


def deducted(grade: Grade) -> str:
    """Return what was taken off, and why, in words; "" for nothing."""
    late = counted(grade.late_days, "late day") if grade.late_days else ""
    if not grade.deduction:
        return late
    return f"{number(grade.deduction)} deducted" + (f" for {late}" if late else "")
