"""Grades as files: JSON, JUnit, the student's page, Gradescope's format, the class's table."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict
from cifar_lab.utils.files import write_text

GRADE, JUNIT, PAGE, GRADESCOPE = "grade.json", "junit.xml", "report.html", "results.json"
GRADES = "grades.csv"
SIGNS = {PASSED: "✓", FAILED: "✗", BLOCKED: "–", NOT_MADE: "?"}
NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "pre{white-space:pre-wrap;background:#f5f5f5;padding:.5em}section{border-top:1px solid #ccc}"
    ".passed h2{color:#070}.failed h2{color:#b00}.blocked h2{color:#777}"
    ".not-made h2{color:#850}h2{font-size:1.1em}"
)


def write_reports(grade: Grade, folder: Path) -> None:
    """Write all of one student's files; `grade.json`, by which a grade counts as done, comes last.

    Raises:
        OSError: The folder can't be written.
    """
    texts = {
        JUNIT: junit(grade),
        PAGE: page(grade),
        GRADESCOPE: json.dumps(gradescope(grade), indent=1),
        GRADE: json.dumps(grade.to_dict(), indent=1),
    }
    for name, text in texts.items():
        write_text(folder / name, text)


def read_grade(folder: Path) -> Grade | None:
    """Return the grade that was written to a folder; None where none can be read."""
    try:
        return Grade.from_dict(json.loads((folder / GRADE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def summary(grade: Grade) -> str:
    """Return one line: the points, and the number of checks by status."""
    counts = dict.fromkeys(SIGNS, 0)
    for verdict in grade.verdicts:
        counts[verdict.status] += 1
    parts = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return f"{grade.earned:g} of {grade.possible:g} points ({parts})"


def details(verdict: Verdict) -> str:
    """Return as plain text what was expected, what was seen and how to fix it."""
    lines = [f"expected: {verdict.expected}", f"seen:     {verdict.seen}"]
    return "\n".join([*lines, f"to do:    {verdict.remedy}"] if verdict.remedy else lines)


def text_table(grade: Grade) -> str:
    """Return all verdicts for a terminal or a notebook; details where a check did not pass.

    Several that were blocked, or could not be made, for one reason have one line.
    """
    lines = []
    for group in _by_cause(grade):
        first = group[0]
        points = f"{sum(one.earned for one in group):g}/{sum(one.points for one in group):g}"
        several = len(group) > 1
        title = f"{len(group)} checks wait: {first.seen}" if several else first.title
        lines.append(f"{SIGNS[first.status]} {points:>6}  {title}")
        if first.status in (FAILED, NOT_MADE):
            text = first.remedy if several else details(first)
            lines += [f"          {line}" for line in text.splitlines()]
    return "\n".join([*lines, summary(grade)])


def junit(grade: Grade) -> str:
    """Return JUnit's XML: a failed check is a failure; one that wasn't looked at is skipped."""
    counts = [verdict.status for verdict in grade.verdicts]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(grade.submission),
        tests=str(len(counts)),
        failures=str(counts.count(FAILED)),
        errors="0",
        skipped=str(counts.count(BLOCKED) + counts.count(NOT_MADE)),
        time=str(grade.seconds),
    )
    for verdict in grade.verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"assignment_{grade.assignment}", name=verdict.check
        )
        if verdict.status != PASSED:
            kind = "failure" if verdict.status == FAILED else "skipped"
            message = _xml(f"{verdict.status}: {verdict.seen.splitlines()[0]}")
            ElementTree.SubElement(case, kind, message=message).text = _xml(details(verdict))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _xml(text: str) -> str:
    return NOT_IN_XML.sub("?", text)


def gradescope(grade: Grade) -> dict[str, object]:
    """Return the grade as Gradescope's autograder reads it (results.json)."""
    tests = []
    for verdict in grade.verdicts:
        tests.append(
            {
                "name": verdict.title,
                "score": verdict.earned,
                "max_score": verdict.points if verdict.status != NOT_MADE else 0,
                "status": "passed" if verdict.status == PASSED else "failed",
                "output": f"{verdict.status}\n{details(verdict)}",
                "output_format": "text",
                "visibility": "visible",
            }
        )
    return {
        "score": grade.earned,
        "execution_time": grade.seconds,
        "output": summary(grade),
        "output_format": "text",
        "tests": tests,
    }


def page(grade: Grade) -> str:
    """Return a page for the student; everything that comes from the submission is shown as text."""
    title = f"{grade.submission}: assignment {grade.assignment.upper()}"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(title)}</h1><p><b>{html.escape(summary(grade))}</b></p>",
    ]
    for group in _groups(grade):
        parts += _section(group)
    versions = ", ".join(f"{name} {version}" for name, version in grade.versions.items())
    footer = f"{versions}; isolation: {grade.isolation}; accuracy on {grade.dataset}"
    return "\n".join([*parts, f"<footer><small>{html.escape(footer)}</small></footer></html>"])


def _groups(grade: Grade) -> list[list[Verdict]]:
    """Return verdicts in groups by their cause: what failed comes first, what passed last."""
    order = (FAILED, NOT_MADE, BLOCKED, PASSED)
    return sorted(_by_cause(grade), key=lambda group: order.index(group[0].status))


def _by_cause(grade: Grade) -> list[list[Verdict]]:
    """Return verdicts in groups: those that were blocked or not made for one cause are told once.

    A group stands where the first of it does.
    """
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in grade.verdicts:
        shared = verdict.status in (BLOCKED, NOT_MADE)
        cause = (verdict.seen,) if shared else (verdict.check,)
        groups.setdefault((verdict.status, *cause), []).append(verdict)
    return list(groups.values())


def _section(group: list[Verdict]) -> list[str]:
    """Return the part of the page on some verdicts with one cause."""
    first, lines = group[0], []
    lines.append(f"<section class='{first.status.replace(' ', '-')}'>")
    for verdict in group:
        points = f"{verdict.earned:g} of {verdict.points:g}"
        lines.append(
            f"<h2>{SIGNS[verdict.status]} {html.escape(verdict.title)} "
            f"({verdict.status}, {points})</h2>"
        )
    if len(group) == 1:
        lines.append(f"<p>Expected: {html.escape(first.expected)}</p>")
    lines.append(f"<p>Seen:</p><pre>{html.escape(first.seen)}</pre>")
    if first.status == NOT_MADE:
        lines.append("<p>The grader could not look: this counts neither for nor against you.</p>")
    if first.remedy:
        lines.append(f"<p>What to do: {html.escape(first.remedy)}</p>")
    return [*lines, "</section>"]


def grades_csv(
    grades: Iterable[Grade], without_grade: Iterable[str] = (), waiting: Iterable[str] = ()
) -> str:
    """Return the class's table: one row per student, one column per check.

    Args:
        grades: Grades of the class.
        without_grade: Submissions at which the grader itself failed: named, without points.
        waiting: Submissions that the grader did not reach.
    """
    rows = sorted(grades, key=lambda grade: grade.submission)
    checks = list(dict.fromkeys(verdict.check for grade in rows for verdict in grade.verdicts))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["submission", "status", "points", "of", "points not made", "not made", *checks]
    )
    for grade in rows:
        by_check = {verdict.check: verdict for verdict in grade.verdicts}
        cells = ["" if check not in by_check else _cell_of(by_check[check]) for check in checks]
        status = "needs a look" if grade.not_made else "graded"
        not_made = " ".join(verdict.check for verdict in grade.not_made)
        missing = sum(verdict.points for verdict in grade.not_made)
        points = [f"{grade.earned:g}", f"{grade.possible:g}", f"{missing:g}"]
        writer.writerow([_plain(grade.submission), status, *points, not_made, *cells])
    for status, names in (("grader error", without_grade), ("not graded yet", waiting)):
        for name in sorted(names):
            writer.writerow([_plain(name), status, *[""] * (4 + len(checks))])
    return file.getvalue()


def _cell_of(verdict: Verdict) -> str:
    return "" if verdict.status == NOT_MADE else f"{verdict.earned:g}"


def _plain(name: str) -> str:
    """Return a name that a spreadsheet does not take for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
