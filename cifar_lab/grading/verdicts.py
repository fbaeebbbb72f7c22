"""Verdicts, which checks find, and the grade that they add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

PASSED, FAILED, BLOCKED, NOT_MADE = "passed", "failed", "blocked", "not made"


class SubmissionError(Exception):
    """Something in the submission is not as it should be.

    Args:
        owner: Name of the check that fails by it; others that need the same are blocked.
        seen: Sentence on what was found.
        remedy: Sentence on what the student can do.
        share: Share of the check's points that are earned all the same, from 0 to 1.
    """

    def __init__(self, owner: str, seen: str, remedy: str, share: float = 0.0) -> None:
        super().__init__(f"{seen} {remedy}")
        self.owner, self.seen, self.remedy, self.share = owner, seen, remedy, share


class NotMadeError(Exception):
    """A check can't be made on this machine or from these files; nobody's fault is shown.

    Args:
        seen: Sentence on why it could not be made.
        remedy: Sentence on what the student or the instructor can do.
    """

    def __init__(self, seen: str, remedy: str = "") -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


@dataclass(frozen=True)
class Verdict:
    """The finding of one check.

    Attributes:
        check: Name of the check.
        title: Sentence that is true where the check passes.
        status: "passed"; "failed" (the work is not as it should be); "blocked" (not looked at,
            since another check failed: no points); "not made" (the grader could not look: neither
            for nor against the student).
        points: Points that the check is worth.
        earned: All of the points, none, or a share where part of what was asked for is there.
        expected: Description of what was expected.
        seen: Description of what was seen.
        remedy: Way to fix it, or to make the check possible; "" where nothing is to be done.
        overridden: Instructor's reason, where `earned` is the instructor's word; "" where it is
            the grader's.
    """

    check: str
    title: str
    status: str
    points: float
    earned: float
    expected: str
    seen: str
    remedy: str = ""
    overridden: str = ""


@dataclass(frozen=True)
class Grade:
    """All verdicts on a submission.

    Attributes:
        submission: Name of the submission's folder.
        assignment: Assignment that was graded, "a" or "b".
        dataset: Dataset that the accuracy was measured on.
        verdicts: Verdicts in the table's order.
        seconds: Seconds that grading took.
        isolation: Isolation of the student's code, "bubblewrap" or "process".
        versions: Versions of the package and of torch.
        fingerprint: Text that differs for other files of the submission, checks or settings; not
            for other points.
        facts: Figures and digests beside the verdicts, as JSON; see `facts.facts_of`.
        comment: Instructor's comment.
        late_days: Days after the deadline, as the instructor counts them.
        deduction: Points that are taken off all that was earned.
    """

    submission: str
    assignment: str
    dataset: str
    verdicts: tuple[Verdict, ...]
    seconds: float
    isolation: str
    versions: dict[str, str]
    fingerprint: str
    facts: dict[str, Any] = field(default_factory=dict)
    comment: str = ""
    late_days: int = 0
    deduction: float = 0.0

    @property
    def earned(self) -> float:
        """Points earned, less what is deducted."""
        return max(0.0, sum(verdict.earned for verdict in self.verdicts) - self.deduction)

    @property
    def possible(self) -> float:
        """Points of the checks that could be made."""
        return sum(one.points for one in self.verdicts if one.status != NOT_MADE)

    @property
    def not_made(self) -> tuple[Verdict, ...]:
        """Verdicts that wait for the instructor."""
        return tuple(verdict for verdict in self.verdicts if verdict.status == NOT_MADE)

    def to_dict(self) -> dict[str, Any]:
        """Return the grade as data that JSON can hold."""
        return asdict(self) | {"earned": self.earned, "possible": self.possible}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Grade:
        """Return the grade that `to_dict` gave.

        Raises:
            TypeError, KeyError: The content is something else.
        """
        fields = {name: value for name, value in content.items() if name in cls.__annotations__}
        fields["verdicts"] = tuple(Verdict(**verdict) for verdict in content["verdicts"])
        return cls(**fields)
