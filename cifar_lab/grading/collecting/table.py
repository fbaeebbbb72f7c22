"""The table that says which file became which student's, and what was ignored and why."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from cifar_lab.grading.collecting.students import Collected, Student
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.reports.spreadsheet import cell
from cifar_lab.utils.wording import counted

TABLE = "collected.csv"
COLUMNS = ("file", "student", "folder", "kept as", "note")
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows UTF-8
MOST_FILES_TOLD, MOST_IGNORED_TOLD = 4, 20
LATE, IN_PLACE = "late, as the site says", "graded where it is"


def collected_csv(collected: Collected) -> str:
    """Return the table: a row for each file, and for what was ignored."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for student in collected.students:
        for given, kept, note in _rows(student):
            cells = (given, "; ".join(one.name for one in student.people), student.folder, kept)
            writer.writerow(map(_named, (*cells, note)))
    for given, reason in collected.ignored:
        writer.writerow(map(_named, (given, "", "", "", f"ignored: {reason}")))
    return BYTE_ORDER_MARK + file.getvalue()


def _named(text: str) -> str:
    return cell(shown_name(text))


def _rows(student: Student) -> Iterator[tuple[str, str, str]]:
    """Yield a file's name in the export, its name in the folder, and a note."""
    note = LATE if student.late else ""
    if student.problem:
        yield "", "", f"not graded: {student.problem}"
    elif not student.files:
        yield f"{student.path.name}/", "", IN_PLACE
    for given, kept in student.files.items():
        yield given, kept, note


def told(collected: Collected) -> Iterator[str]:
    """Yield the lines for a terminal: each student's files where they were collected."""
    if not collected.is_in_place:
        yield _summary(collected)
        yield from map(_line, collected.students)
    ignored = collected.ignored
    if len(ignored) > MOST_IGNORED_TOLD:
        for reason, number in Counter(reason for _, reason in ignored).most_common():
            names = [shown_name(name) for name, other in ignored if other == reason]
            yield f"Ignored, {shown_name(reason)}: {number}, such as {names[0]}"
    else:
        for name, reason in ignored:
            yield f"Ignored: {shown_name(name)} ({shown_name(reason)})"


def _summary(collected: Collected) -> str:
    files = sum(len(student.files) for student in collected.students)
    of = f"{' and '.join(collected.sites)}: " if collected.sites else ""
    late = sum(student.late for student in collected.students)
    return (
        f"{of}{counted(len(collected.students), 'submission')}, {counted(files, 'file')}"
        f"{f', {late} late' if late else ''}, {len(collected.ignored)} ignored."
    )


def _line(student: Student) -> str:
    name = f"  {shown_name(student.folder)}"
    if student.problem:
        return f"{name}  NOT GRADED: {shown_name(student.problem)}"
    kept = [shown_name(kept) for kept in student.files.values()]
    more = len(kept) - MOST_FILES_TOLD
    files = ", ".join(kept[:MOST_FILES_TOLD]) + (f" and {more} more" if more > 0 else "")
    people = " and ".join(shown_name(one.name) for one in student.others)
    return "".join(
        (
            name,
            f" with {people}" if people else "",
            "  (late)" if student.late else "",
            f"  {files or IN_PLACE}",
        )
    )
