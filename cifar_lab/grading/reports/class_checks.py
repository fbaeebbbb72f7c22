"""The pass rate of each check on the class page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cifar_lab.grading.reports import charts
from cifar_lab.grading.reports.class_parts import table_of
from cifar_lab.grading.reports.markup import Markup, joined, tag
from cifar_lab.grading.reports.points import number
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict

PARTS = {  # patterns, with what they stand for
    "passed": "passed",
    "partly": "in part",
    "failed": "failed",
    "blocked": "blocked by another check",
    "open": "not made",
}


def checks(grades: Sequence[Grade]) -> Markup | None:
    """Return each check's pass rate, with what failed apart from what was not made."""
    by_check: dict[str, list[Verdict]] = defaultdict(list)
    for grade in grades:
        for verdict in grade.verdicts:
            by_check[verdict.check].append(verdict)
    if not by_check:
        return None
    names = ("Points", "Passed", "In part", "Failed", "Blocked", "Not made")
    heads: dict[str, str | None] = {"Check": None, "Pass rate": "n"}
    heads["Of all submissions"] = "picture"
    heads |= dict.fromkeys(names, "n")
    table = table_of(heads, [_check(verdicts) for verdicts in by_check.values()], "Checks")
    key = [tag("li", charts.pattern_key(part), word) for part, word in PARTS.items()]
    note = "The pass rate is of those on which the check could be made."
    return joined(
        [
            tag("ul", *key, class_="key"),
            table,
            tag("p", tag("small", note)),
        ]
    )


def _check(verdicts: Sequence[Verdict]) -> Markup:
    counts = dict.fromkeys(PARTS, 0)
    for verdict in verdicts:
        counts[_part(verdict)] += 1
    made = len(verdicts) - counts["open"]
    rate = 100 * counts["passed"] / made if made else None
    shares = [(part, count / len(verdicts)) for part, count in counts.items()]
    alt = ", ".join(f"{count} {PARTS[part]}" for part, count in counts.items() if count)
    text = "" if rate is None else f"{rate:.0f} %"
    cells = [
        tag("td", text, class_="n", data_v="" if rate is None else rate),
        tag("td", charts.share_bar(shares, alt)),
        tag("td", number(verdicts[0].points), class_="n"),
        *(tag("td", f"{count:,}", class_="n") for count in counts.values()),
    ]
    return tag("tr", tag("th", verdicts[0].title, scope="row"), *cells)


def _part(verdict: Verdict) -> str:
    if verdict.status == FAILED and verdict.earned > 0:
        return "partly"
    known = {PASSED: "passed", FAILED: "failed", BLOCKED: "blocked", NOT_MADE: "open"}
    return known[verdict.status]
