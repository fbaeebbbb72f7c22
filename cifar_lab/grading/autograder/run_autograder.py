#!/usr/bin/env python3
"""Grades one submission: Gradescope calls this in a new container of the image, as root.

It needs nothing but Python, so that it leaves a results.json that Gradescope can read whatever
fails. A failure is no grade of the student's: its text says so, and the score of 0, which the
format asks for, is hidden until the instructor publishes grades.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("AUTOGRADER", "/autograder"))
PLACE = ROOT / "cifar-lab"  # which setup.sh made
USER = os.environ.get("AUTOGRADER_USER", "nobody")  # the user who grades, where this is root
MODULE = "cifar_lab.grading.autograder.on_gradescope"
MARGIN = 60  # seconds between our end and Gradescope's
UNFINISHED = (
    "The grader was stopped before its end: most often the container's memory was full, or its "
    "time was over."
)
NO_GRADE = (
    "This is no grade, and no fault of yours is known. Your submission was received. "
    "Instructor: see the autograder's output; then grade again (Rerun Autograder)."
)


class GraderError(Exception):
    """The grader, not the submission, is at fault."""


def failure(text: str) -> dict[str, object]:
    """Return results that say what failed; no score is shown to the student."""
    whole = f"{text}\n{NO_GRADE}"
    return {
        "score": 0.0,  # without any, Gradescope takes the results for malformed
        "output": whole,
        "output_format": "text",
        "visibility": "after_published",
        "stdout_visibility": "hidden",
        "tests": [
            {"name": "The grader failed: no grade", "output": whole, "visibility": "visible"},
            {"name": "Grade", "score": 0.0, "output": "none"},
        ],
        "extra_data": {"grader_error": True},
    }


def write_results(results: dict[str, object]) -> None:
    """Write results.json at once: a reader finds the old one or the new one."""
    folder = ROOT / "results"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "results.json.part"
    temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    temporary.replace(folder / "results.json")


def grader() -> pwd.struct_passwd | None:
    """Return the user who grades; None where this process's own does."""
    return pwd.getpwnam(USER) if os.geteuid() == 0 and USER else None


def run(arguments: list[str], home: Path, seconds: float, user: pwd.struct_passwd | None) -> None:
    """Run a part of the grader, with all that it starts.

    Raises:
        GraderError: It failed, or took longer than it may.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "CIFAR_LAB_DATA": str(PLACE / "data"),
    }
    command = [str(PLACE / "venv" / "bin" / "python"), "-m", MODULE, *arguments]
    switch: dict[str, Any] = {}
    if user is not None:
        switch = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    process = subprocess.Popen(command, cwd=home, env=environment, start_new_session=True, **switch)
    try:
        status = process.wait(max(seconds, 1))
    except subprocess.TimeoutExpired:
        raise GraderError("The grader took longer than it may.") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status != 0:
        raise GraderError(f"The grader itself failed (exit status {status}).")


def copy_submission(work: Path, user: pwd.struct_passwd | None) -> Path:
    """Copy the submission, with the files' times, to where the grader may read it."""
    copy = work / "submission"
    shutil.copytree(ROOT / "submission", copy, symlinks=True)
    if user is not None:
        for folder, folders, names in os.walk(work):
            for name in (".", *folders, *names):
                os.chown(Path(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)
    return copy


def grade(end: float) -> dict[str, object]:
    """Grade the submission and return Gradescope's results.

    Raises:
        Exception: The grader failed.
    """
    user = grader()
    (ROOT / "results").chmod(0o700)
    metadata = ROOT / "submission_metadata.json"
    if metadata.exists():
        metadata.chmod(0o600)
    with tempfile.TemporaryDirectory(prefix="cifar-lab-", ignore_cleanup_errors=True) as folder:
        work, own = Path(folder, "work"), Path(folder, "own")
        for each in (work, own):
            each.mkdir(mode=0o700)
        Path(folder).chmod(0o711)
        submission = copy_submission(work, user)
        graded, results = work / "grade.json", own / "results.json"
        left = end - time.monotonic()
        run(["grade", str(submission), str(graded), str(PLACE)], work, left, user)
        left = end - time.monotonic() + MARGIN / 2
        sources = [str(ROOT / "source"), str(PLACE), str(metadata)]
        run(["report", str(graded), str(results), *sources], own, left, None)
        return json.loads(results.read_text(encoding="utf-8"))


def main() -> int:
    """Leave a results.json, whatever happens; return 0 so that Gradescope reads it."""
    start = time.monotonic()
    write_results(failure(UNFINISHED))
    try:
        course = json.loads((PLACE / "course.json").read_text(encoding="utf-8"))
        results = grade(start + 60 * course["minutes"] - MARGIN)
    except Exception as error:
        traceback.print_exc(file=sys.stdout)  # which instructors see, not students
        text = str(error) if isinstance(error, GraderError) else "The grader itself failed."
        results = failure(text)
    write_results(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
