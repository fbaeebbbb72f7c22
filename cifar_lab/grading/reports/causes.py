"""Verdicts by their causes, so that each cause is told once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, Grade, Verdict


@dataclass(frozen=True)
class Cause:
    """What some verdicts have in common.

    Attributes:
        verdicts: Verdicts that say the same, in the table's order.
        waiting: Verdicts that were not looked at because of them.
    """

    verdicts: tuple[Verdict, ...]
    waiting: tuple[Verdict, ...] = ()

    @property
    def lost(self) -> float:
        """Points that were not earned for this cause."""
        return sum(max(0.0, one.points - one.earned) for one in (*self.verdicts, *self.waiting))


def by_cause(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """Return verdicts in groups: those that were blocked or not made for one cause are together.

    A group stands where the first of it does.
    """
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in verdicts:
        shared = verdict.status in (BLOCKED, NOT_MADE)
        cause = (verdict.seen,) if shared else (verdict.check,)
        groups.setdefault((verdict.status, *cause), []).append(verdict)
    return list(groups.values())


def to_fix(grade: Grade) -> list[Cause]:
    """Return what a student can fix, what costs the most points first.

    What only waits for a check that failed belongs to that one. What the instructor decided is
    left out.
    """
    open_ones = [one for one in grade.verdicts if not one.overridden]
    failed: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in open_ones:
        if verdict.status == FAILED:
            failed.setdefault((verdict.seen, verdict.remedy), []).append(verdict)
    blocked = [one for one in open_ones if one.status == BLOCKED]
    causes = []
    for group in failed.values():
        waiting = [one for one in blocked if _names(one, group)]
        blocked = [one for one in blocked if one not in waiting]
        causes.append(Cause(tuple(group), tuple(waiting)))
    causes += [Cause(tuple(group)) for group in by_cause(blocked)]
    return sorted(causes, key=lambda cause: -cause.lost)


def _names(verdict: Verdict, group: Iterable[Verdict]) -> bool:
    """Return whether a verdict says that it waits for one of a group."""
    return any(f": {one.title}." in verdict.seen for one in group)
