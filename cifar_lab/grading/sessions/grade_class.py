"""Grading a class: `cifar-lab grade`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.grading.collecting.collect import COLLECTED, collect
from cifar_lab.grading.collecting.sorting import RESULTS_LOCK as LOCK
from cifar_lab.grading.collecting.students import Collected
from cifar_lab.grading.collecting.table import TABLE, collected_csv, told
from cifar_lab.grading.gradebook.book import Gradebook
from cifar_lab.grading.gradebook.filling import fill
from cifar_lab.grading.isolation.sandbox import isolation_level, isolation_reason
from cifar_lab.grading.overrides import read_overrides
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.settings_file import read_settings
from cifar_lab.utils.console import say
from cifar_lab.utils.files import write_text

if TYPE_CHECKING:
    from cifar_lab.grading.sessions.class_list import ClassList
    from cifar_lab.grading.sessions.class_results import Results
    from cifar_lab.grading.sessions.running import Progress

    Spread = Callable[[ClassList, Settings, Path], tuple[Progress, BaseException | None]]

GRADER_ERROR = 3  # exit status; 1 is an error that the message says how to fix
INTERRUPTED = 2  # pytest's exit status


def cluster_warning() -> str:
    """Return what an instructor has to know where workers need not have bubblewrap."""
    return (
        f"Isolation: workers without bubblewrap are used, since this machine has none either "
        f"({isolation_reason()}). A submission could read such a worker's files."
    )


def process_warning() -> str:
    """Return what an instructor has to know where bubblewrap does not isolate students' code."""
    return (
        f"Isolation: process, since {isolation_reason()}. A submission could read this machine's "
        "files. With bubblewrap it can't (Debian, Ubuntu: apt install bubblewrap)."
    )


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
    scheduler: str | None = None,
    dataset: str | None = None,
    data_folder: Path | None = None,
    settings: Path | None = None,
    only: Sequence[str] = (),
    overrides: Path | None = None,
    gradebook: Path | None = None,
    column: str | None = None,
) -> int:
    """Grade a class and write its table; what is graded and unchanged is kept.

    Args:
        submissions: Folder with a sub-folder for each student, or what a course site exports.
        out: Folder that gets a sub-folder for each student, and the class's table and page.
        assignment: Assignment that is graded, "a" or "b".
        jobs: Number of submissions that are graded at the same time on this machine.
        scheduler: Address of a Dask scheduler, whose workers grade in the place of this machine.
        dataset: Dataset of the reported accuracies; None for the assignment's.
        data_folder: Folder of the datasets; None for `$CIFAR_LAB_DATA` or `data`.
        settings: TOML or JSON file with points and limits.
        only: Names of students who are graded again, and nobody else; empty for all.
        overrides: TOML or JSON file with the instructor's word.
        gradebook: CSV file that a course site exported, of which a filled copy is written.
        column: Column of the gradebook; None for the only one that it can be.

    Returns:
        0, or 3 where a submission has no grade: the grader itself failed at it, or its files could
        not be collected.

    Raises:
        ImportError: pytest or pytest-xdist is missing, or for a cluster `distributed`.
        ConnectionError: The scheduler does not answer, or has gone; no worker can grade.
        FileNotFoundError: There are no `submissions`.
        BlockingIOError: Another run is grading into the same folder.
        ValueError: There are no submissions or no jobs, nobody is called as in `only`, or the
            settings, overrides or gradebook can't be used.
    """
    from cifar_lab.grading.sessions.running import require_pytest

    if scheduler is None:
        require_pytest()
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected at least 1.")
    given = {"assignment": assignment, "dataset": dataset, "data_folder": data_folder}
    checked_with = read_settings(settings, **given)
    book = None if gradebook is None else Gradebook.read(gradebook, column)
    _refuse_no_submissions(submissions)
    out.mkdir(parents=True, exist_ok=True)
    if isolation_level() != "bubblewrap":
        say(process_warning() if scheduler is None else cluster_warning())
    with _holding(out / LOCK):
        collected = _collect(submissions, out)
        spread = partial(_spread, jobs=jobs, scheduler=scheduler)
        results = _graded(collected, out, checked_with, spread, only, overrides)
        if book is not None:
            _fill(book, results, collected, out)
    return 0 if results.is_complete else GRADER_ERROR


def _refuse_no_submissions(submissions: Path) -> None:
    """Say that there is nothing, before a folder of results is made."""
    if not submissions.exists():
        raise FileNotFoundError(f"There is no folder {submissions}, and no archive.")
    if submissions.is_dir() and not any(submissions.iterdir()):
        raise ValueError(f"{submissions} has no sub-folders; expected one for each student.")


def _collect(submissions: Path, out: Path) -> Collected:
    """Collect the class, and tell which file became whose."""
    collected = collect(submissions, out / COLLECTED, results=out)
    write_text(out / TABLE, collected_csv(collected))
    for line in told(collected):
        say(line)
    return collected


def _graded(
    collected: Collected,
    out: Path,
    settings: Settings,
    spread: Spread,
    only: Sequence[str],
    overrides: Path | None,
) -> Results:
    """Grade all without a current grade, or those that are asked for, and write the results."""
    from cifar_lab.grading.sessions import class_results
    from cifar_lab.grading.sessions.class_list import ClassList

    names = [student.folder for student in collected.students]
    words = read_overrides(overrides, settings, names)
    chosen = frozenset(collected.find(name).folder for name in only) if only else None
    folders = {
        student.folder: student.path.absolute()
        for student in collected.students
        if not student.problem and (chosen is None or student.folder in chosen)
    }
    started = time.monotonic()
    progress, ended_by = spread(ClassList(folders, bool(only)), settings, out)
    class_results.keep_errors(out, progress.failed)
    seen = frozenset(progress.seen)
    results = class_results.read_results(collected, out, settings, words, seen=seen, only=chosen)
    class_results.write_results(results, collected, out)
    class_results.tell(results, collected, out, minutes=(time.monotonic() - started) / 60)
    if ended_by is not None:
        raise ended_by
    return results


def _spread(
    class_: ClassList, settings: Settings, out: Path, *, jobs: int, scheduler: str | None
) -> tuple[Progress, BaseException | None]:
    """Grade by pytest-xdist or by Dask; return what was told, and what ended it too early."""
    from cifar_lab.grading.sessions import running

    if scheduler is None:
        progress, status = running.run_session(class_, settings, out, jobs)
        return progress, KeyboardInterrupt() if status == INTERRUPTED else None
    from cifar_lab.grading.sessions.on_cluster import run_on_cluster

    progress = running.Progress(list(class_.folders))
    try:
        run_on_cluster(class_, settings, out, scheduler, progress)
    except (KeyboardInterrupt, ConnectionError) as error:
        return progress, error
    return progress, None


def _fill(book: Gradebook, results: Results, collected: Collected, out: Path) -> None:
    """Write a copy of the gradebook with the grades in it, and tell what is not in it."""
    filled = fill(book, results.grades, collected.students)
    path = filled.write(out)
    for line in filled.told(path):
        say(line)
