"""The charts at the top of the class page: points, and accuracy against parameters."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles

from cifar_lab.grading.reports import charts
from cifar_lab.grading.reports.class_parts import PAGE, student_link
from cifar_lab.grading.reports.figures import front, network_of, references
from cifar_lab.grading.reports.markup import Markup, address, tag
from cifar_lab.grading.reports.points import percent
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.wording import counted

BINS = ("0", "10", "20", "30", "40", "50", "60", "70", "80", "90", "100")


def pictures(grades: Sequence[Grade]) -> Markup:
    """Return the distribution of points beside accuracy against parameters."""
    parts = [part for part in (_distribution(grades), _frontier(grades)) if part]
    return tag("div", *parts, class_="pair")


def _distribution(grades: Sequence[Grade]) -> Markup | None:
    shares = [share for share in map(percent, grades) if share is not None]
    if not shares:
        return None
    counts = dict.fromkeys(BINS, 0)
    for share in shares:
        counts[BINS[min(int(share // 10), len(BINS) - 1)]] += 1
    told = ", ".join(
        f"{low if low == '100' else f'{low} to under {int(low) + 10}'} %: {count}"
        for low, count in counts.items()
        if count
    )
    how_to_read = "50 stands for 50 to under 60 %, and 100 for full points."
    chart = charts.bars(
        counts,
        f"Students by percent of the possible points. {told}.",
        "students",
        "percent of the points that were possible",
    )
    return tag(
        "section",
        tag("h2", "Points", id="points"),
        tag("figure", chart, tag("figcaption", f"{_spread(shares)} {how_to_read}")),
        aria_labelledby="points",
    )


def _spread(shares: Sequence[float]) -> str:
    """Return in words where the middle half of the class lies."""
    if len(shares) < 4:
        return ""
    low, middle, high = quantiles(shares, method="inclusive")
    return f"Half of the class has {low:.0f} to {high:.0f} %, the median is {middle:.0f} %."


def _frontier(grades: Sequence[Grade]) -> Markup | None:
    found = [(grade, network_of(grade)) for grade in grades]
    networks = [network for _, network in found if network is not None]
    if not networks:
        return None
    datasets = {grade.dataset for grade, network in found if network is not None}
    known = references(datasets.pop()) if len(datasets) == 1 else []
    best = front(networks)
    missing = len(grades) - len(networks)
    alt = (
        f"Test accuracy against parameters of {counted(len(networks), 'network')}. The best are "
        + "; ".join(f"{one.parameters:,} parameters with {one.accuracy:.1f} %" for one in best)
        + "."
    )
    chart = charts.size_chart(
        networks,
        known,
        alt,
        best=best,
        addresses=[address(one.name, PAGE) for one in networks],
    )
    key = [
        tag("li", charts.symbol_key("circle"), "a student's network"),
        tag("li", charts.symbol_key("front"), "beaten by nobody's in both (Pareto front)"),
        tag("li", charts.symbol_key("letter"), "the course's networks:") if known else None,
        *(
            tag(
                "li",
                tag("b", one.letter),
                f" {one.name}: {one.accuracy:.1f} %, {one.parameters:,}",
            )
            for one in known
        ),
    ]
    rows = [
        tag("li", student_link(one.name), f": {one.accuracy:.2f} % with {one.parameters:,}")
        for one in best
    ]
    return tag(
        "section",
        tag("h2", "Accuracy against parameters", id="accuracy"),
        tag("figure", chart, tag("figcaption", tag("ul", *key, class_="key"))),
        tag("details", tag("summary", f"On the front: {len(best)}"), tag("ul", *rows)),
        tag("p", tag("small", f"{counted(missing, 'grade')} without a measured accuracy."))
        if missing
        else None,
        aria_labelledby="accuracy",
    )
