"""A student's page: what to fix first, an overview, and where the work stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cifar_lab.grading.reports import charts
from cifar_lab.grading.reports.causes import Cause, by_cause, to_fix
from cifar_lab.grading.reports.figures import (
    Network,
    minutes,
    network_of,
    parameters,
    percentage,
    references,
    reported_curves,
)
from cifar_lab.grading.reports.markup import Markup, document, joined, tag
from cifar_lab.grading.reports.points import deducted, number, percent, total
from cifar_lab.grading.reports.readable import STUDENT as TO_STUDENT
from cifar_lab.grading.reports.readable import (
    one_line,
    readable,
    reason_for_student,
    said_to,
    shown_name,
)
from cifar_lab.grading.reports.style import STUDENT
from cifar_lab.grading.reports.terminal import SIGNS
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade, Verdict
from cifar_lab.utils.wording import counted

WORDS = {
    PASSED: "passed",
    FAILED: "failed",
    BLOCKED: "waits",
    NOT_MADE: "not made",
}


def page(grade: Grade) -> str:
    """Return a page for the student; everything that comes from the submission is shown as text."""
    name = shown_name(grade.submission)
    title = f"{name}: assignment {grade.assignment.upper()}"
    causes = to_fix(grade)
    body = joined(
        [
            tag("header", tag("h1", tag("bdi", name), f": assignment {grade.assignment.upper()}")),
            tag("main", *_main(grade, causes)),
            _footer(grade),
        ]
    )
    return document(title, body, style=STUDENT)


def _main(grade: Grade, causes: Sequence[Cause]) -> Iterable[Markup | None]:
    yield from _score(grade)
    yield _tiles(grade)
    yield from _instructors_word(grade)
    yield from _first(grade, causes)
    yield _overview(grade)
    if causes[1:]:
        yield tag("h2", "What else to fix")
        yield from map(_cause, causes[1:])
    yield from _not_made(grade)
    yield from _among_references(grade)
    yield from _history(grade)


def _score(grade: Grade) -> Iterable[Markup]:
    share = percent(grade)
    rounded = "" if share is None else f" · {share:.0f}\u00a0%"
    yield tag(
        "p", f"{number(grade.earned)} of {number(grade.possible)} points{rounded}", class_="score"
    )
    counts = dict.fromkeys(SIGNS, 0)
    for verdict in grade.verdicts:
        counts[verdict.status] += 1
    texts = [f"{SIGNS[PASSED]} {counted(counts[PASSED], 'check')} passed"]
    texts += [f"{SIGNS[FAILED]} {counts[FAILED]} failed"] if counts[FAILED] else []
    if counts[BLOCKED]:
        waits = "waits" if counts[BLOCKED] == 1 else "wait"
        texts.append(f"{SIGNS[BLOCKED]} {counts[BLOCKED]} {waits} for another one")
    texts += [f"{SIGNS[NOT_MADE]} {counts[NOT_MADE]} not made"] if counts[NOT_MADE] else []
    yield tag("p", " · ".join(texts))
    if grade.not_made:
        open_points = number(total(grade) - grade.possible)
        yield tag(
            "p",
            f"{open_points} of {number(total(grade))} points are not among the "
            f"{number(grade.possible)}: those checks ",
            tag("a", "could not be made", href="#not-made"),
            ", which counts neither for nor against you.",
        )


def _tiles(grade: Grade) -> Markup | None:
    measured = percentage(grade, "measured_accuracy")
    reported = percentage(grade, "reported_accuracy")
    size, time = parameters(grade), minutes(grade)
    tiles = []
    if measured is not None:
        beside = "" if reported is None else f"; you reported {reported:.2f} %"
        tiles.append((f"{measured:.2f} %", f"test accuracy, measured by the grader{beside}"))
    elif reported is not None:
        tiles.append((f"{reported:.2f} %", "test accuracy, as you reported it; not measured"))
    if size is not None:
        tiles.append((f"{size:,}", "parameters"))
    if time is not None:
        tiles.append((f"{time:.1f} min", "of training, as recorded"))
    made = [tag("li", tag("b", value), tag("small", text)) for value, text in tiles]
    return tag("ul", *made, class_="tiles") if made else None


def _instructors_word(grade: Grade) -> Iterable[Markup]:
    decided = [one for one in grade.verdicts if one.overridden]
    parts = []
    if grade.comment:
        parts.append(tag("p", readable(grade.comment)))
    if deducted(grade):
        parts.append(tag("p", f"{deducted(grade)[:1].upper()}{deducted(grade)[1:]}."))
    rows = [
        tag(
            "li",
            tag("b", one.title),
            f": {number(one.earned)} of {number(one.points)} points. ",
            tag("span", readable(one.overridden)),
            tag("br"),
            tag("small", f"The grader had seen: {one_line(one.seen)}"),
        )
        for one in decided
    ]
    parts += [tag("ul", *rows)] if rows else []
    if parts:
        yield tag(
            "section",
            tag("h2", "Your instructor's word", id="word"),
            *parts,
            class_="word",
            aria_labelledby="word",
        )


def _first(grade: Grade, causes: Sequence[Cause]) -> Iterable[Markup]:
    yield tag("h2", "Fix this first" if causes else "Nothing to fix")
    if causes:
        yield _cause(causes[0], is_first=True)
        return
    decided = any(one.overridden and one.status != PASSED for one in grade.verdicts)
    made = "Every check that could be made" if grade.not_made else "Every check"
    but = ", but for what your instructor decided" if decided else ""
    yield tag("p", f"{made} has passed{but}.")


def _cause(cause: Cause, *, is_first: bool = False) -> Markup:
    """Return all that is said on one cause."""
    first = cause.verdicts[0]
    kind = "failed" if first.status == FAILED else "blocked"
    heads = [_head(one) for one in cause.verdicts]
    details: list[Markup] = []
    if len(cause.verdicts) == 1 and first.status == FAILED:
        details += [tag("dt", "Expected"), tag("dd", readable(first.expected))]
    details += [tag("dt", "Seen"), tag("dd", _quoted(first.seen))]
    if to_do := said_to(TO_STUDENT, first.remedy):
        details += [tag("dt", "What to do"), tag("dd", readable(to_do), class_="do")]
    if cause.waiting:
        names = "; ".join(f"{one.title} ({number(one.points)})" for one in cause.waiting)
        points = number(sum(one.points for one in cause.waiting))
        these = counted(len(cause.waiting), "check")
        details += [
            tag("dt", f"Waiting for it: {these}, {points} points"),
            tag("dd", tag("small", names)),
        ]
    return tag(
        "section",
        *heads,
        tag("p", tag("small", f"Costs {_points(cause.lost)}.")) if cause.lost else None,
        tag("dl", *details),
        class_=f"cause {kind}{' first' if is_first else ''}",
    )


def _points(points: float) -> str:
    return "1 point" if points == 1 else f"{number(points)} points"


def _head(verdict: Verdict) -> Markup:
    return tag(
        "h3",
        tag("span", f"{SIGNS[verdict.status]} {WORDS[verdict.status]}", class_="sign"),
        f" {verdict.title} ",
        tag("small", _of(verdict)),
        id=f"check-{verdict.check}",
    )


def _of(verdict: Verdict) -> str:
    if verdict.status == NOT_MADE:
        return f"{number(verdict.points)} points, not counted"
    return f"{number(verdict.earned)} of {number(verdict.points)}"


def _quoted(text: str) -> Markup:
    """Return what was seen: as a paragraph, or as it stands where it has several lines."""
    text = readable(text)
    return tag("pre", text) if "\n" in text.strip() else tag("p", text)


def _overview(grade: Grade) -> Markup:
    told = {one.check for cause in to_fix(grade) for one in cause.verdicts}
    told |= {one.check for one in grade.not_made}
    rows = [_row(one, linked=one.check in told) for one in grade.verdicts]
    head = tag("tr", *(tag("th", text, scope="col") for text in ("", "Check", "Points")))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="overview")
    return joined([tag("h2", "Overview"), table])


def _row(verdict: Verdict, *, linked: bool) -> Markup:
    title: Markup | str = verdict.title
    if linked:
        title = tag("a", title, href=f"#check-{verdict.check}")
    seen = None
    if verdict.status == PASSED and not verdict.overridden:
        seen = joined([tag("br"), tag("small", one_line(verdict.seen, longest=120))])
    word = tag("small", " (your instructor's word)") if verdict.overridden else None
    return tag(
        "tr",
        tag("td", tag("span", f"{SIGNS[verdict.status]} {WORDS[verdict.status]}", class_="sign")),
        tag("td", title, word, seen),
        tag("td", "not counted" if verdict.status == NOT_MADE else _of(verdict)),
        class_=verdict.status.replace(" ", "-"),
    )


def _not_made(grade: Grade) -> Iterable[Markup]:
    if not grade.not_made:
        return
    yield tag("h2", "Not made, and why", id="not-made")
    yield tag(
        "p",
        "The grader could not look at these. That counts neither for nor against you; your "
        "instructor sees it too and may decide.",
    )
    for group in by_cause(grade.not_made):
        yield tag(
            "section",
            *map(_head, group),
            _quoted(reason_for_student(group[0])),
            class_="cause not-made",
        )


def _among_references(grade: Grade) -> Iterable[Markup]:
    mine, known = network_of(grade), references(grade.dataset)
    if mine is None or not known:
        return
    mine = Network("Your network", mine.parameters, mine.accuracy)
    yield tag("h2", "Your network among the course's")
    sentence = _place(mine, known)
    alt = f"Test accuracy against parameters. {sentence}"
    chart = charts.size_chart([], known, alt, mine=mine)
    rows = [
        tag("li", charts.symbol_key("star"), f"yours: {mine.accuracy:.2f} %, {mine.parameters:,}"),
        *(
            tag(
                "li",
                tag("b", one.letter),
                f" {one.name}: {one.accuracy:.2f} %, {one.parameters:,}",
            )
            for one in known
        ),
    ]
    yield tag("p", sentence)
    yield tag("figure", chart, tag("figcaption", tag("ul", *rows, class_="key")))


def _place(mine: Network, known: Sequence[Network]) -> str:
    """Return in words where a network lies among the others."""
    weaker = [one.name for one in known if mine.beats(one)]
    stronger = [one.name for one in known if one.beats(mine)]
    parts = [f"It has {mine.parameters:,} parameters and reaches {mine.accuracy:.2f} %."]
    if weaker:
        parts.append(f"It needs fewer parameters and reaches more than {_listed(weaker)}.")
    if stronger:
        parts.append(f"Fewer parameters and a higher accuracy: {_listed(stronger)}.")
    if not stronger:
        parts.append("None of the course's networks is ahead in both.")
    return " ".join(parts)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, ["; ".join(names[:-1]), names[-1]]))


def _history(grade: Grade) -> Iterable[Markup]:
    series = reported_curves(grade)
    if not series:
        return
    yield tag("h2", "Training, as you reported it")
    ends = [
        f"on {title} {points[0][1]:.1f} % after epoch {points[0][0]}, {points[-1][1]:.1f} % after "
        f"epoch {points[-1][0]}"
        for title, points in series.items()
    ]
    alt = f"Accuracy by epoch: {'; '.join(ends)}."
    key = [
        tag("li", charts.dash_key(place), f"{title}, in the end {points[-1][1]:.2f} %")
        for place, (title, points) in enumerate(series.items())
    ]
    yield tag(
        "figure", charts.curves(series, alt), tag("figcaption", tag("ul", *key, class_="key"))
    )


def _footer(grade: Grade) -> Markup:
    versions = ", ".join(f"{name} {version}" for name, version in _versions(grade).items())
    text = f"Graded with {versions}; accuracy on {grade.dataset}; isolation: {grade.isolation}."
    return tag("footer", tag("small", readable(text)))


def _versions(grade: Grade) -> dict[str, str]:
    known = grade.facts.get("versions")
    return grade.versions | (
        {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}
    )
