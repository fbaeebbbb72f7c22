"""Grading a folder of submissions: `cifar-lab grade`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_lab.grading.isolation.sandbox import isolation_level, isolation_reason
from cifar_lab.grading.reports import GRADES, grades_csv, read_grade
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.files import write_text

GRADER_ERROR = 3  # exit status; 1 is an error that the message says how to fix


def process_warning() -> str:
    """Return what an instructor has to know where bubblewrap does not isolate students' code."""
    return (
        f"Isolation: process, since {isolation_reason()}. A submission could read this machine's "
        "files. With bubblewrap it can't (Debian, Ubuntu: apt install bubblewrap)."
    )


class Progress:
    """A pytest plugin of the controlling process that prints one line for each submission."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.seen: set[str] = set()
        self.failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Print a submission's points, or that the grader failed at it."""
        if report.when != "call" and not report.failed:
            return
        number = re.search(r"\[(\d+)\]", report.nodeid)  # a worker that died tells nothing else
        name = self.names[int(number[1])] if number else report.nodeid
        self.seen.add(name)
        line = dict(report.user_properties).get("summary", "GRADER ERROR, no grade")
        if report.failed:
            self.failed[name] = str(report.longrepr)
        _say(f"[{len(self.seen)}/{len(self.names)}] {name}: {line}")

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str]:
        """Print no dots."""
        return "", "", ""


def _say(line: str) -> None:
    """Print it, whatever characters a folder's name has."""
    print(line.encode(errors="backslashreplace").decode(), flush=True)


def _not_folders(submissions: Path) -> list[str]:
    """Return the files among the submissions: archives and notebooks, as sites export them."""
    paths = (path for path in submissions.iterdir() if path.is_file())
    return sorted(path.name for path in paths if not path.name.startswith("."))


@contextmanager
def _holding(path: Path) -> Iterator[None]:
    """Hold a lock in the folder of the results; the system frees it however the process ends.

    Raises:
        BlockingIOError: Another run holds it.
    """
    import fcntl

    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"Another run is grading into {path.parent}. Wait for its end, "
                "or give another --out."
            ) from error
        yield


def grade_class(
    submissions: Path,
    out: Path,
    *,
    assignment: str,
    jobs: int = 1,
    dataset: str | None = None,
    data_folder: Path | None = None,
    settings: Path | None = None,
) -> int:
    """Grade each sub-folder and write the class's table; what is graded and unchanged is kept.

    Args:
        submissions: Folder with a sub-folder for each student.
        out: Folder that gets a sub-folder for each student, and `grades.csv`.
        assignment: Assignment that is graded, "a" or "b".
        jobs: Number of submissions that are graded at the same time.
        dataset: Dataset of the reported accuracies; None for the assignment's.
        data_folder: Folder of the datasets; None for `$CIFAR_LAB_DATA` or `data`.
        settings: TOML or JSON file with points and limits.

    Returns:
        0, or 3 where the grader itself failed at a submission: that one has no grade.

    Raises:
        ImportError: pytest or pytest-xdist is missing.
        FileNotFoundError: There is no folder `submissions`.
        BlockingIOError: Another run is grading into the same folder.
        ValueError: There are no submissions, no jobs, or settings that can't be used.
    """
    _require_pytest()
    import pytest

    from cifar_lab.grading.sessions import class_session
    from cifar_lab.grading.settings_file import read_settings

    names = _names(submissions, out, jobs)
    given = {"assignment": assignment, "dataset": dataset, "data_folder": data_folder}
    checked_with = read_settings(settings, **given)
    out.mkdir(parents=True, exist_ok=True)
    if isolation_level() != "bubblewrap":
        print(process_warning(), flush=True)
    arguments = _pytest_arguments(submissions, out, min(jobs, len(names)))
    arguments += ["--assignment", assignment]
    arguments += [] if dataset is None else ["--dataset", dataset]
    arguments += [] if data_folder is None else ["--data", str(Path(data_folder).resolve())]
    arguments += [] if settings is None else ["--settings", str(Path(settings).resolve())]
    os.environ.pop("PYTEST_ADDOPTS", None)  # meant for other sessions
    os.environ[class_session.ISOLATION] = isolation_level()
    progress, started = Progress(names), time.monotonic()
    with _holding(out / class_session.LOCK):
        status = pytest.main(arguments, plugins=[progress])

    _keep_errors(out, progress)
    results = _results(submissions, out, progress, checked_with)
    write_text(out / GRADES, grades_csv(results.grades, results.missing, results.waiting))
    _tell(results, submissions, out, minutes=(time.monotonic() - started) / 60)
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    complete = not results.missing and not results.waiting
    return 0 if complete and status in (0, 1) else GRADER_ERROR


def _require_pytest() -> None:
    try:
        import pytest  # noqa: F401 (only whether it is there)
        import xdist  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Grading a class needs {error.name}: pip install 'cifar-lab[grading]'"
        ) from error


def _names(submissions: Path, out: Path, jobs: int) -> list[str]:
    """Return the names of the submissions; refuse what can't be graded."""
    from cifar_lab.grading.sessions.class_session import submission_names

    if not submissions.is_dir():
        raise FileNotFoundError(f"There is no folder {submissions}.")
    names = submission_names(submissions, out)
    if not names:
        raise ValueError(f"{submissions} has no sub-folders; expected one for each student.")
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected at least 1.")
    return names


def _pytest_arguments(submissions: Path, out: Path, workers: int) -> list[str]:
    """Return the arguments of the pytest session that grades the class."""
    from cifar_lab.grading.sessions import class_session

    results = str(out.resolve())
    arguments = [str(Path(class_session.__file__)), "-qq", "--no-header", "--no-summary"]
    arguments += ["-c", os.devnull, "--rootdir", results, "-p", "no:cacheprovider"]
    arguments += ["-n", str(workers), "--dist", "load", "--maxschedchunk", "1"]
    return [*arguments, "--submissions", str(submissions.resolve()), "--reports", results]


def _keep_errors(out: Path, progress: Progress) -> None:
    """Write down the grader's errors whose worker died, or could not write them itself."""
    from cifar_lab.grading.sessions.class_session import GRADER_ERROR_FILE

    for name, error in progress.failed.items():
        path = out / name / GRADER_ERROR_FILE
        if name in progress.names and not path.exists():
            with suppress(OSError):
                write_text(path, error)


@dataclass(frozen=True)
class Results:
    """The class after a session.

    Attributes:
        grades: Grades of the submissions as they are now.
        missing: Names of the submissions at which the grader itself failed.
        waiting: Names of the submissions that the session did not reach.
    """

    grades: tuple[Grade, ...]
    missing: tuple[str, ...]
    waiting: tuple[str, ...]


def _results(submissions: Path, out: Path, progress: Progress, settings: Settings) -> Results:
    """Read the grades; one of other files, checks or settings, from an earlier run, is none."""
    from cifar_lab.grading.sessions.grade import fingerprint

    grades, missing, waiting = [], [], []
    for name in progress.names:
        grade = read_grade(out / name)
        if grade is not None and grade.fingerprint == fingerprint(submissions / name, settings):
            grades.append(grade)
        elif name in progress.seen:
            missing.append(name)
        else:
            waiting.append(name)
    return Results(tuple(grades), tuple(missing), tuple(waiting))


def _tell(results: Results, submissions: Path, out: Path, minutes: float) -> None:
    """Print how many submissions have a grade, where the table is, and what is missing."""
    graded, missing, waiting = len(results.grades), results.missing, results.waiting
    total = graded + len(missing) + len(waiting)
    print(f"{graded} of {total} have a grade, in {minutes:.1f} minutes.")
    print(f"The class's table is {out / GRADES}; each student's page is {out}/NAME/report.html.")
    if missing:
        _say(f"No grade, by the grader's own fault: {', '.join(missing[:10])}. See {out}/NAME/.")
    if waiting:
        _say(f"Not graded yet: {', '.join(waiting[:10])}. The same command resumes.")
    if others := _not_folders(submissions):
        _say(f"Not graded, since they are no folders: {', '.join(others[:10])}. Unpack them.")
