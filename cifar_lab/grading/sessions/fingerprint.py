"""Fingerprints, by which a grade is known to be of these files, checks, settings and packages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.outcomes import test_images
from cifar_lab.grading.packages import installed_packages
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Submission
from cifar_lab.grading.verdicts import NotMadeError

GRADING = Path(__file__).parents[1]
# Nothing in these folders changes a verdict: they collect, spread and show.
WITHOUT_VERDICTS = ("autograder", "collecting", "gradebook", "reports", "sessions")
WITH_VERDICTS = ("reports/readable.py", "sessions/grade.py")  # but these do
READ = (".py", ".md", ".txt")


@dataclass(frozen=True)
class Environment:
    """All that a grade depends on beside the submission and the settings.

    Attributes:
        checks: Digest of the grading's own files.
        torch: Version of PyTorch.
        packages: Names of the installed packages.
        isolation: Isolation of students' code, "bubblewrap" or "process".
        has_test_images: Whether the test images are there, without which no accuracy is measured.
    """

    checks: str
    torch: str
    packages: tuple[str, ...]
    isolation: str
    has_test_images: bool


def environment(settings: Settings) -> Environment:
    """Return what this machine grades with."""
    return Environment(
        checks=checks_version(),
        torch=str(torch.__version__),
        packages=tuple(installed_packages()),
        isolation=isolation_level(),
        has_test_images=_has_test_images(settings),
    )


def fingerprint(folder: Path, settings: Settings, *, isolation: str | None = None) -> str:
    """Return a text that differs where the submission, a check or a setting differs.

    It tells nothing of the points: others are another sum of the same verdicts, for which nothing
    has to run again (`rescoring.rescored`, which also tells where a check is missing).

    Args:
        folder: Folder of the submission.
        settings: Settings that it is checked with.
        isolation: Isolation of students' code; None for that of this machine.
    """
    here = environment(settings)
    given = {name: value for name, value in settings.to_dict().items() if name != "points"}
    parts = [Submission(folder).fingerprint(), here.checks, here.torch]
    parts += [json.dumps(given, sort_keys=True), f"test images: {here.has_test_images}"]
    parts += [isolation or here.isolation, *here.packages]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _has_test_images(settings: Settings) -> bool:
    try:
        test_images(settings)
    except NotMadeError:
        return False
    return True


def files_of_checks() -> list[Path]:
    """Return the grading's own files by which a grade may become another one."""
    found = [GRADING / name for name in WITH_VERDICTS]
    for path in GRADING.rglob("*"):
        folder = path.relative_to(GRADING).parts[0]
        if path.suffix in READ and path.name != "README.md" and folder not in WITHOUT_VERDICTS:
            found.append(path)
    return sorted(found)


@cache
def checks_version() -> str:
    """Return the SHA-256 of the files of the checks."""
    sha = hashlib.sha256()
    for path in files_of_checks():
        content = path.read_bytes()
        sha.update(f"{path.relative_to(GRADING).as_posix()} {len(content)} ".encode() + content)
    return sha.hexdigest()
