"""Collecting: from what a course site exports to one folder for each student."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cifar_lab.grading.collecting.assembling import assemble
from cifar_lab.grading.collecting.names import UniqueNames
from cifar_lab.grading.collecting.piles import Pile, Piles
from cifar_lab.grading.collecting.sorting import RESULTS_LOCK, Sorter
from cifar_lab.grading.collecting.students import Collected, Student
from cifar_lab.grading.reports.readable import shown_name

COLLECTED = "collected"  # the folder of the results for what was unpacked or copied
# Names that results have beside the students' folders.
OF_RESULTS = (COLLECTED, RESULTS_LOCK)
ENDINGS_OF_RESULTS = (".csv", ".html", ".json")
SCRATCH = ".scratch"
MOST_NAMED = 5


def collect(path: Path, into: Path, *, results: Path | None = None) -> Collected:
    """Return the submissions in a folder or an archive, whichever site wrote it.

    A folder with one plain sub-folder for each student is left as it is, and graded there. All else
    is copied or unpacked into `into`, where nothing stays of what was there; nothing of `path` is
    changed.

    Args:
        path: Folder or archive.
        into: Folder that gets a folder for each student.
        results: Folder of the results, which is no submission, wherever it lies.

    Raises:
        FileNotFoundError: There is no `path`.
        ValueError: It can't be read, or nothing in it is a submission.
        OSError: The disk is full, or a folder can't be written.
    """
    fresh = into.with_name(f".{into.name}.new")
    _remove(fresh)
    try:
        sorter = Sorter(fresh / SCRATCH, results)
        sorter.read(path)
        students = _students(sorter.piles, fresh, into)
        if not students:
            raise ValueError(_nothing_found(path, sorter.piles.ignored))
        _remove(fresh / SCRATCH)
        _put_in_place(fresh, into)
    finally:
        _remove(fresh)
    sites = {pile.site for pile in sorter.piles.of.values() if pile.site}
    return Collected(tuple(students), tuple(sorter.piles.ignored), tuple(sorted(sites)))


def _students(piles: Piles, fresh: Path, into: Path) -> list[Student]:
    """Return the students, each with a name of their own; their files are in their folders."""
    unique = UniqueNames(OF_RESULTS, ENDINGS_OF_RESULTS)
    students = []
    for _, pile in sorted(piles.of.items()):
        name = unique.give(pile.folder)
        if pile.in_place is not None:
            students.append(_student(pile, name, pile.in_place))
            continue
        files, problem = assemble(pile, fresh / name, fresh / SCRATCH, piles.ignored)
        students.append(_student(pile, name, into / name, files, problem))
    return sorted(students, key=lambda student: student.folder)


def _student(
    pile: Pile, name: str, path: Path, files: Iterable[tuple[str, str]] = (), problem: str = ""
) -> Student:
    first, *others = pile.people
    return Student(
        folder=name,
        path=path,
        name=first.name,
        ids=first.ids,
        files=_by_name(files),
        others=tuple(others),
        late=pile.late,
        problem=problem,
    )


def _by_name(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the files' names in the folder by those in the export; some have two names."""
    names: dict[str, list[str]] = {}
    for given, kept in files:
        names.setdefault(given, []).append(kept)
    return {given: "; ".join(kept) for given, kept in names.items()}


def _put_in_place(fresh: Path, into: Path) -> None:
    """Put the new folder in the place of the old one; without anything in it there is none."""
    old = into.with_name(f".{into.name}.old")
    _remove(old)
    if into.exists():
        into.rename(old)
    if fresh.is_dir() and any(fresh.iterdir()):
        fresh.rename(into)
    _remove(old)


def _remove(path: Path) -> None:
    """Remove a folder, or whatever is there."""
    with suppress(OSError):
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _nothing_found(path: Path, ignored: Iterable[tuple[str, str]]) -> str:
    some = [f"{shown_name(name)} ({reason})" for name, reason in ignored]
    seen = f" Seen, and no submission: {', '.join(some[:MOST_NAMED])}." if some else ""
    return (
        f"{path} has no sub-folders, and nothing else that a course site exports. Expected one "
        f"folder or one archive for each student, or a site's download.{seen}"
    )
