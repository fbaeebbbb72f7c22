"""A check as it is declared: a function with its title, its points and its expectation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.settings import Settings

Look = Callable[[Evidence], str]


@dataclass(frozen=True, eq=False)
class Check:
    """One behaviour of a submission that is looked at.

    Calling it looks at the evidence: it returns what was seen where the check passes, and raises
    `SubmissionError` or `NotMadeError` where it does not.

    Attributes:
        name: Name that options, settings and reports use.
        title: Sentence that is true where the check passes.
        expectation: The same in full, with the names of settings in braces.
        points: Points by assignment; an assignment that is missing does not ask for it.
        look: Function that looks at the evidence.
        needs_own_network: Whether it says nothing of a student's work where the network is one
            that they were given; it is then blocked.
    """

    name: str
    title: str
    expectation: str
    points: Mapping[str, float]
    look: Look
    needs_own_network: bool = True

    def __call__(self, evidence: Evidence) -> str:
        """Look at the evidence and return what was seen.

        Raises:
            SubmissionError: Something in the submission is not as it should be.
            NotMadeError: The check can't be made on this machine or from these files.
        """
        return self.look(evidence)

    def expected(self, settings: Settings) -> str:
        """Return the expectation with the values of these settings."""
        values = {one.name: getattr(settings, one.name) for one in fields(settings)}
        minutes = settings.run.wall_seconds / 60
        return self.expectation.format(
            **values, num_classes=settings.num_classes, run_minutes=minutes
        )


def check(
    title: str,
    *,
    expectation: str,
    points: Mapping[str, float],
    needs_own_network: bool = True,
) -> Callable[[Look], Check]:
    """Declare a function as the check of its name.

    Args:
        title: Sentence that is true where the check passes.
        expectation: The same in full, with the names of settings in braces.
        points: Points by assignment, "a" or "b"; leave out one that does not ask for it.
        needs_own_network: Blocks it where the network is one that the student was given.
    """
    return lambda look: Check(look.__name__, title, expectation, points, look, needs_own_network)
