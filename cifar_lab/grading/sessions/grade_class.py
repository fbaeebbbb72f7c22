"""Grading a folder of submissions: `cifar-lab grade`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cifar_lab.grading.isolation.sandbox import isolation_level, isolation_reason
from cifar_lab.grading.settings import read_settings

GRADER_ERROR = 3  # exit status; 1 is an error that the message says how to mend


def process_warning() -> str:
    """What an instructor has to know where student's code is not isolated by bubblewrap."""
    return (
        f"Isolation: process, since {isolation_reason()}. A submission could read this machine's "
        "files. With bubblewrap it can't (Debian, Ubuntu: apt install bubblewrap)."
    )


class Progress:
    """Prints a line for each submission, in pytest's place; lives in the controlling process."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.seen: set[str] = set()
        self.failed: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A submission has its grade, or the grader failed at it."""
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
        """No dots."""
        return "", "", ""


def _say(line: str) -> None:
    """Print it, whatever characters a folder's name has."""
    print(line.encode(errors="backslashreplace").decode(), flush=True)


def _not_folders(submissions: Path) -> list[str]:
    """What lies among the submissions: archives and notebooks, as a course's site exports them."""
    paths = (path for path in submissions.iterdir() if path.is_file())
    return sorted(path.name for path in paths if not path.name.startswith("."))


@contextmanager
def _holding(path: Path) -> Iterator[None]:
    """Hold a lock in the folder of the results; the system frees it however the process ends.

    Raises:
        BlockingIOError: another run holds it.
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
        submissions: a folder with a sub-folder for each student.
        out: gets a folder for each student, and `grades.csv`.
        assignment: "a" or "b".
        jobs: submissions at a time.
        dataset: that the reported accuracies are of; None for the assignment's.
        data_folder: of the datasets.
        settings: a TOML or JSON file with points and limits.

    Returns:
        0, or 3 where the grader itself failed at a submission: that one has no grade.

    Raises:
        ImportError: pytest or pytest-xdist is missing.
        FileNotFoundError: there is no such folder.
        BlockingIOError: another run is grading into the same folder.
        ValueError: no submissions in it, no jobs, or settings that can't be used.
    """
    try:
        import pytest
        import xdist  # noqa: F401 (only whether it is there)
    except ImportError as error:
        raise ImportError(
            f"Grading a class needs {error.name}: pip install 'cifar-lab[grading]'"
        ) from error
    from cifar_lab.grading.reports import GRADES, grades_csv, read_grade, write_text
    from cifar_lab.grading.sessions import class_session
    from cifar_lab.grading.sessions.grade import fingerprint

    if not submissions.is_dir():
        raise FileNotFoundError(f"There is no folder {submissions}.")
    names = class_session.submission_names(submissions, out)
    if not names:
        raise ValueError(f"{submissions} has no sub-folders; expected one for each student.")
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected at least 1.")
    held_against = read_settings(
        settings, assignment=assignment, dataset=dataset, data_folder=data_folder
    )
    out.mkdir(parents=True, exist_ok=True)
    if isolation_level() != "bubblewrap":
        print(process_warning(), flush=True)
    arguments = [str(Path(class_session.__file__)), "-qq", "--no-header", "--no-summary"]
    arguments += ["-c", os.devnull, "--rootdir", str(out.resolve()), "-p", "no:cacheprovider"]
    arguments += ["-n", str(min(jobs, len(names))), "--dist", "load", "--maxschedchunk", "1"]
    arguments += ["--submissions", str(submissions.resolve()), "--reports", str(out.resolve())]
    arguments += ["--assignment", assignment]
    for option, value in (
        ("--dataset", dataset),
        ("--data", data_folder),
        ("--settings", settings),
    ):
        if value is not None:
            arguments += [option, str(value if option == "--dataset" else Path(value).resolve())]
    os.environ.pop("PYTEST_ADDOPTS", None)  # meant for other sessions
    os.environ[class_session.ISOLATION] = isolation_level()
    progress, started = Progress(names), time.monotonic()
    with _holding(out / class_session.LOCK):
        status = pytest.main(arguments, plugins=[progress])
    for name in names:
        path = out / name / class_session.GRADER_ERROR_FILE
        if name in progress.failed and not path.exists():  # its worker died, or could not write
            with suppress(OSError):
                write_text(path, progress.failed[name])
    grades = {name: read_grade(out / name) for name in names}
    for name, grade in grades.items():  # an earlier one of other files, where this run broke off
        if grade is not None and grade.fingerprint != fingerprint(submissions / name, held_against):
            grades[name] = None
    waiting = [name for name in names if grades[name] is None and name not in progress.seen]
    missing = [name for name in names if grades[name] is None and name in progress.seen]
    graded = (grade for grade in grades.values() if grade is not None)
    table = grades_csv(graded, missing, waiting)
    write_text(out / GRADES, table)
    minutes = (time.monotonic() - started) / 60
    graded_count = len(names) - len(missing) - len(waiting)
    print(f"{graded_count} of {len(names)} have a grade, in {minutes:.1f} minutes.")
    print(f"The class's table is {out / GRADES}; each student's page is {out}/NAME/report.html.")
    if missing:
        _say(f"No grade, by the grader's own fault: {', '.join(missing[:10])}. See {out}/NAME/.")
    if waiting:
        _say(f"Not graded yet: {', '.join(waiting[:10])}. The same command goes on.")
    if others := _not_folders(submissions):
        _say(f"Not graded, since they are no folders: {', '.join(others[:10])}. Unpack them.")
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return GRADER_ERROR if missing or waiting or status not in (0, 1) else 0
