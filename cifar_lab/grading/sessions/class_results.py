"""A class's results after a session: what there is, with the instructor's word, and what lacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.grading.collecting.students import Collected
from cifar_lab.grading.overrides import Overrides
from cifar_lab.grading.reports import CLASS, GRADES, read_grade, write_class, write_reports
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.rescoring import rescored
from cifar_lab.grading.sessions.keeping import GRADER_ERROR_FILE, SHOWN, is_current, keep_error
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.console import say
from cifar_lab.utils.files import write_text

MOST_NAMED = 10


@dataclass(frozen=True)
class Results:
    """The class after a session.

    Attributes:
        grades: Grades, with the instructor's word on them, by the submission's name.
        missing: Names of the submissions at which the grader itself failed.
        waiting: Names of the submissions that the session did not reach.
        not_gradable: Names of the submissions that could not be collected.
        stale: Names of those whose grade is of other files, checks or settings, and was kept.
    """

    grades: Mapping[str, Grade]
    missing: Sequence[str] = ()
    waiting: Sequence[str] = ()
    not_gradable: Sequence[str] = ()
    stale: Sequence[str] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every submission has a grade."""
        return not (self.missing or self.waiting or self.not_gradable)


def read_results(
    collected: Collected,
    out: Path,
    settings: Settings,
    overrides: Overrides,
    *,
    seen: frozenset[str],
    only: frozenset[str] | None,
) -> Results:
    """Read the grades, and write again what the instructor's word or other points change.

    Args:
        collected: The class.
        out: Folder of the results.
        settings: Settings of the class.
        overrides: Instructor's word.
        seen: Names of the submissions that the session came to.
        only: Names of those that it was for; None for all. An older grade of the others is kept.

    Raises:
        OSError: A folder can't be written.
    """
    grades: dict[str, Grade] = {}
    missing, waiting, not_gradable, stale = [], [], [], []
    for student in collected.students:
        name, kept = student.folder, read_grade(out / student.folder)
        if student.problem:
            not_gradable.append(name)
        elif kept is not None and is_current(kept, student.path, settings):
            grades[name] = _show(kept, out / name, settings, overrides)
        elif name in seen:
            missing.append(name)
        elif kept is not None and only is not None and rescored(kept, settings) is not None:
            grades[name] = _show(kept, out / name, settings, overrides)
            stale.append(name)
        else:
            waiting.append(name)
    return Results(grades, missing, waiting, not_gradable, stale)


def _show(grade: Grade, folder: Path, settings: Settings, overrides: Overrides) -> Grade:
    """Return the grade as pages are to show it, and write them where they show another one."""
    shown = overrides.applied_to(rescored(grade, settings) or grade)
    mark = folder / SHOWN
    digest = hashlib.sha256(json.dumps(shown.to_dict(), sort_keys=True).encode()).hexdigest()
    if shown == grade:
        if mark.exists():
            write_reports(grade, folder)
            mark.unlink()
    elif not mark.exists() or mark.read_text(encoding="utf-8") != digest:
        write_reports(grade, folder, shown)
        write_text(mark, digest)
    return shown


def write_results(results: Results, collected: Collected, out: Path) -> None:
    """Write the class's table and page.

    Raises:
        OSError: They can't be written.
    """
    write_class(
        out,
        list(results.grades.values()),
        results.missing,
        [*results.waiting, *results.not_gradable],
        collected.students,
        collected.ignored,
    )


def keep_errors(out: Path, failed: Mapping[str, str]) -> None:
    """Write down the grader's errors whose worker died, or could not write them itself."""
    for name, error in failed.items():
        if not (out / name / GRADER_ERROR_FILE).exists():
            keep_error(error, out / name)


def tell(results: Results, collected: Collected, out: Path, minutes: float) -> None:
    """Print how many submissions have a grade, where the table is, and what is missing."""
    graded, all_of_them = len(results.grades), len(collected.students)
    say(f"{graded} of {all_of_them} have a grade, in {minutes:.1f} minutes.")
    say(f"The class: {out / CLASS}. Its table: {out / GRADES}. Pages: {out}/NAME/report.html.")
    for names, what in (
        (results.missing, f"No grade, by the grader's own fault; see {out}/NAME/"),
        (results.not_gradable, "No grade, since the files could not be collected; see above"),
        (results.waiting, "Not graded yet; the same command resumes"),
        (results.stale, "Kept, but of earlier files, checks or settings; grade without --only"),
    ):
        if names:
            more = len(names) - MOST_NAMED
            some = ", ".join(map(shown_name, names[:MOST_NAMED]))
            say(f"{what}: {some}{f' and {more} more' if more > 0 else ''}.")
