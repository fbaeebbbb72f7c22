"""A grade as JUnit's XML, which continuous integration reads."""

from __future__ import annotations

from xml.etree import ElementTree

from cifar_lab.grading.reports.readable import readable, shown_name
from cifar_lab.grading.reports.terminal import details
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade


def junit(grade: Grade) -> str:
    """Return JUnit's XML: a failed check is a failure; one that wasn't looked at is skipped."""
    counts = [verdict.status for verdict in grade.verdicts]
    suite = ElementTree.Element(
        "testsuite",
        name=shown_name(grade.submission),
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
            message = readable(f"{verdict.status}: {verdict.seen}").partition("\n")[0]
            ElementTree.SubElement(case, kind, message=message).text = details(verdict)
        elif verdict.overridden:
            ElementTree.SubElement(case, "system-out").text = details(verdict)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
