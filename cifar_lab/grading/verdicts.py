"""What a check finds: verdicts, and the grade that they add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASSED, FAILED, BLOCKED, NOT_MADE = "passed", "failed", "blocked", "not made"


class SubmissionError(Exception):
    """Something in the submission is not as it should be.

    Args:
        owner: the check that fails by it; others that need the same are blocked.
        seen: what was found.
        remedy: what the student can do.
        share: of the check's points that are earned all the same, from 0 to 1.
    """

    def __init__(self, owner: str, seen: str, remedy: str, share: float = 0.0) -> None:
        super().__init__(f"{seen} {remedy}")
        self.owner, self.seen, self.remedy, self.share = owner, seen, remedy, share


class NotMadeError(Exception):
    """A check can't be made on this machine or from these files; nobody's fault is shown.

    Args:
        seen: why it could not be made.
        remedy: what the student or the instructor can do.
    """

    def __init__(self, seen: str, remedy: str = "") -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    Attributes:
        check: its name.
        title: what holds where it passes.
        status: "passed"; "failed" (the work is not as it should be); "blocked" (not looked at,
            since another check failed: no points); "not made" (the grader could not look: neither
            for nor against the student).
        points: that it is worth.
        earned: all of them, none, or a share where part of what was asked for is there.
        expected: what was expected.
        seen: what was seen.
        remedy: how to fix it, or what makes the check possible; "" where nothing is to be done.
    """

    check: str
    title: str
    status: str
    points: float
    earned: float
    expected: str
    seen: str
    remedy: str = ""


@dataclass(frozen=True)
class Grade:
    """All verdicts on a submission.

    Attributes:
        submission: the folder's name.
        assignment: "a" or "b".
        dataset: that the accuracy was measured on.
        verdicts: in the table's order.
        seconds: that grading took.
        isolation: "bubblewrap" or "process".
        versions: of the package and of torch.
        fingerprint: of the submission's files, the checks and the settings.
    """

    submission: str
    assignment: str
    dataset: str
    verdicts: tuple[Verdict, ...]
    seconds: float
    isolation: str
    versions: dict[str, str]
    fingerprint: str

    @property
    def earned(self) -> float:
        """Points earned."""
        return sum(verdict.earned for verdict in self.verdicts)

    @property
    def possible(self) -> float:
        """Points of the checks that could be made."""
        return sum(one.points for one in self.verdicts if one.status != NOT_MADE)

    @property
    def not_made(self) -> tuple[Verdict, ...]:
        """Verdicts that wait for the instructor."""
        return tuple(verdict for verdict in self.verdicts if verdict.status == NOT_MADE)

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        return asdict(self) | {"earned": self.earned, "possible": self.possible}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Grade:
        """What `to_dict` gave.

        Raises:
            TypeError, KeyError: it is something else.
        """
        fields = {name: value for name, value in content.items() if name in cls.__annotations__}
        fields["verdicts"] = tuple(Verdict(**verdict) for verdict in content["verdicts"])
        return cls(**fields)
