"""All checks on one submission."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from cifar_lab.grading.checks.check import Check
from cifar_lab.grading.checks.table import CHECKS, checks_of
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.facts import facts_of
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.reports.readable import readable
from cifar_lab.grading.sessions.fingerprint import fingerprint
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import (
    BLOCKED,
    FAILED,
    NOT_MADE,
    PASSED,
    Grade,
    NotMadeError,
    SubmissionError,
    Verdict,
)
from cifar_lab.utils.environment import installed_version


def judge(evidence: Evidence, check: Check, points: float) -> Verdict:
    """Return one check's verdict.

    Raises:
        Exception: The grader itself is at fault; that is no verdict on the submission.
    """
    status, earned, remedy = PASSED, points, ""
    try:
        if check.needs_own_network:
            evidence.refuse_given_network()
        seen = _look(evidence, check)
    except SubmissionError as error:
        earned, seen, remedy = round(points * error.share, 1), error.seen, error.remedy
        status = FAILED
        if error.owner != check.name:
            status, earned = BLOCKED, 0.0
            title = CHECKS[error.owner].title
            seen = f"Not looked at, since another check did not pass: {title}."
            remedy = "Fix that one first."
    except NotMadeError as error:
        status, earned, seen, remedy = NOT_MADE, 0.0, error.seen, error.remedy
    return Verdict(
        check=check.name,
        title=check.title,
        status=status,
        points=points,
        earned=earned,
        expected=check.expected(evidence.settings),
        seen=readable(seen),
        remedy=readable(remedy),
    )


def _look(evidence: Evidence, check: Check) -> str:
    """Make a check; what is wrong only behind a cell that failed may be that cell's consequence."""
    try:
        return check(evidence)
    except SubmissionError as error:
        if error.owner != check.name or not evidence.went_on:
            raise
    with evidence.until_the_failure():
        seen = check(evidence)
    evidence.ran_to_the_end()
    return seen


def grade_submission(
    folder: Path, settings: Settings, *, notebook_missing_is_open: bool = False
) -> Grade:
    """Make all the assignment's checks on a submission.

    Args:
        folder: Folder of the submission.
        settings: Settings that the submission is checked with.
        notebook_missing_is_open: Leaves checks that need a missing notebook open, see `Evidence`.

    Raises:
        Exception: The grader itself is at fault.
    """
    started, of_files = time.monotonic(), fingerprint(folder, settings)
    evidence = Evidence(folder, settings, notebook_missing_is_open=notebook_missing_is_open)
    verdicts = tuple(
        judge(evidence, check, points) for check, points in checks_of(settings).items()
    )
    return as_grade(evidence, verdicts, started, of_files)


def as_grade(
    evidence: Evidence, verdicts: tuple[Verdict, ...], started: float, of_files: str
) -> Grade:
    """Return the verdicts with all that a grade says besides.

    Args:
        evidence: Evidence that the checks were made with.
        verdicts: Verdicts of all checks.
        started: Time of the start, by `time.monotonic`.
        of_files: `fingerprint` from the start: files that change meanwhile are graded again.
    """
    settings = evidence.settings
    return Grade(
        submission=evidence.folder.absolute().name,
        assignment=settings.assignment,
        dataset=settings.dataset,
        verdicts=verdicts,
        seconds=round(time.monotonic() - started, 1),
        isolation=isolation_level(),
        versions={"cifar-lab": installed_version("cifar-lab"), "torch": str(torch.__version__)},
        fingerprint=of_files,
        facts=facts_of(evidence),
    )
