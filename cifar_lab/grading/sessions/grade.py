"""All checks on one submission."""

from __future__ import annotations

import hashlib
import json
import time
from functools import cache
from pathlib import Path

import torch

from cifar_lab.grading.checks.check import Check
from cifar_lab.grading.checks.table import CHECKS, checks_of
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.facts import facts_of
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.outcomes import test_images
from cifar_lab.grading.packages import installed_packages
from cifar_lab.grading.reports.readable import readable
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Submission
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


def fingerprint(folder: Path, settings: Settings) -> str:
    """Return a text that differs where the submission, a check or a setting differs.

    It tells nothing of the points: others are another sum of the same verdicts, for which nothing
    has to run again (`rescoring.rescored`, which also tells where a check is missing).
    """
    parts = [Submission(folder).fingerprint(), checks_version(), str(torch.__version__)]
    given = {name: value for name, value in settings.to_dict().items() if name != "points"}
    parts.append(json.dumps(given, sort_keys=True))
    parts.append(f"test images: {_has_test_images(settings)}")  # without them no accuracy is found
    parts += [isolation_level(), *installed_packages()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _has_test_images(settings: Settings) -> bool:
    try:
        test_images(settings)
    except NotMadeError:
        return False
    return True


@cache
def checks_version() -> str:
    """Return the SHA-256 of the grading's own files."""
    sha = hashlib.sha256()
    files = (path for path in Path(__file__).parents[1].rglob("*") if path.suffix in (".py", ".md"))
    for path in sorted(files):
        sha.update(path.name.encode() + path.read_bytes())
    return sha.hexdigest()
