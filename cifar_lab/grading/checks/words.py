"""Checks of what the student writes: findings and discussions in their own words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading import report
from cifar_lab.grading.submissions.submission import Cell
from cifar_lab.grading.verdicts import SubmissionError

HERE = Path(__file__).parents[1]
GIVEN = tuple(  # files whose words are not the student's
    HERE / name
    for name in (
        "template_b.md",
        "notebook_a.md",
        "notebook_b.md",
        "notebook_frontier.md",
        "notebook_frontier_100.md",
    )
)
TOPICS = {  # topics with the words that name each of them in a heading
    "model architecture": r"architectur|\bnetworks?\b|\bmodel design\b",
    "hyperparameters": r"hyper[\s-]?param|\blearning[\s-]rate|\blr\b|schedul|\bbatch[\s-]?size",
    "regularisation": r"regulari[sz]|dropout|augment|weight[\s-]decay|over-?fit",
    "optimizer": r"optimi[sz]",
    "validation scheme": r"validat|hold[\s-]?out|\bsplit|early[\s-]stop|model[\s-]selection",
}
# Words that name an iteration, or the findings, in a heading; in several languages.
ITERATION = (
    r"iter[aá]|it[ée]ra|attempt|\btry\b|\btrial|experiment|versuch|durchgang|anlauf|"
    r"essai|tentative|intento|tentativ|esperimento|poging|próba|попытк|итерац|эксперимент|"
    r"尝试|迭代|实验|実験|試行"
)
FINDINGS = (
    r"finding|results?\b|conclu|discuss|summar|take-?aways?|insight|lesson|learnt|learned|"
    r"ergebnis|erkenntnis|befund|fazit|schluss|zusammenfass|auswertung|diskussion|résultat|bilan|"
    r"constat|synthèse|resultad|conclusi|hallazgo|risultat|resulta|bevinding|wynik|wniosk|"
    r"результат|вывод|结论|结果|总结|結論|結果|まとめ"
)
MOST_REPEATED = 0.35  # share of distinct words below which a text repeats itself


@check(
    "Iterations and findings are described in your own words",
    expectation=(
        "at least {min_words} words of your own on each of two iterations and on the findings, "
        "under a heading each; a part with fewer words earns its third in proportion"
    ),
    points={"a": 10},
    needs_own_network=False,
)
def findings_written(evidence: Evidence) -> str:
    """Count the student's own words on two iterations and on the findings."""
    needed = evidence.settings.min_words
    given = given_words(evidence.settings.template)
    counts = _best_counts(_own_counts(evidence.cells(), given), needed)
    parts = zip(("one iteration", "another", "the findings"), counts, strict=True)
    seen = ", ".join(f"{part}: {count} own words" for part, count in parts)
    if min(counts) < needed:
        raise SubmissionError(
            "findings_written",
            f"{seen}. At least {needed} on each are expected; a part with fewer earns in "
            "proportion.",
            "Under a heading for each, such as Iteration 1, Iteration 2 and Findings, write at "
            f"least {needed} words of your own: what you expected, what you changed, what came of "
            "it, and what you conclude. Words that you were given don't count.",
            share=math.fsum(min(1.0, count / max(needed, 1)) for count in counts) / len(counts),
        )
    return seen


def _own_counts(cells: Iterable[Cell], given: str) -> dict[tuple[str, str], int]:
    """Return the numbers of own words by what they are on: the findings, an iteration or a section.

    The second part of a key tells several apart; a section may belong to the findings.
    """
    texts: dict[tuple[str, str], list[str]] = {}
    for place, (path, text) in enumerate(report.texts_below_headings(cells, ITERATION)):
        kind, name = _subject(path)
        texts.setdefault((kind, name if kind == "iteration" else str(place)), []).append(text)
    return {subject: _own_count("\n".join(some), given) for subject, some in texts.items()}


def _subject(path: Sequence[str]) -> tuple[str, str]:
    """Return what is described below these headings: an iteration with its name, the findings, ...

    A numbered iteration may have a conclusion of its own, which belongs to it.
    """
    kind, name = "section", ""
    for title in path:
        iteration = re.search(ITERATION, title, re.IGNORECASE)
        finding = re.search(FINDINGS, title, re.IGNORECASE)
        if iteration and (finding is None or iteration.start() < finding.start()):
            behind = re.search(r"\d+", title[iteration.end() :])
            number = behind or re.search(r"\d+", title)  # "4. Iteration 1", "2nd attempt"
            kind, name = "iteration", number[0] if number else title
        elif finding and not (kind == "iteration" and name.isdigit()):
            kind, name = "findings", title
    if kind == "findings" and path[-1] != name:
        kind = "part of the findings"
    return kind, name


def _best_counts(counts: Mapping[tuple[str, str], int], needed: int) -> tuple[int, int, int]:
    """Return the own words on one iteration, on another and on the findings.

    Where the headings don't say what is an iteration, the longest passages are taken: any text on
    three subjects counts, in whatever language and order.
    """

    def of(kind: str) -> list[int]:
        return sorted((n for (one, _), n in counts.items() if one == kind), reverse=True)

    others, parts = [*of("iteration"), *of("section"), 0, 0, 0], of("part of the findings")
    tried = []
    for taken in range(3):  # parts of the findings that describe an iteration
        first, second, third = sorted([*others, *parts[:taken]], reverse=True)[:3]
        findings = sum(of("findings")) + sum(parts[taken:])
        tried.append((first, second, max(findings, third)))
    return max(tried, key=lambda three: sum(min(count, needed) for count in three))


@check(
    "The five choices are discussed in your own words",
    expectation=(
        "under a heading each, at least {min_words} words of your own on model "
        "architecture, hyperparameters, regularisation, optimizer and validation scheme; "
        "a topic with fewer words earns its fifth in proportion"
    ),
    points={"b": 10},
    needs_own_network=False,
)
def choices_discussed(evidence: Evidence) -> str:
    """Count the student's own words on each of the five topics."""
    needed = evidence.settings.min_words
    template = given_words(evidence.settings.template)
    texts = report.text_under(evidence.cells(), TOPICS)
    found = {
        topic: None if text is None else _own_count(text, template) for topic, text in texts.items()
    }
    earned = [
        0.0 if count is None else min(1.0, count / max(needed, 1)) for count in found.values()
    ]
    if any(count is None or count < needed for count in found.values()):
        parts = [
            f"{topic}: " + ("no heading for it" if count is None else f"{count} own words")
            for topic, count in found.items()
        ]
        raise SubmissionError(
            "choices_discussed",
            f"{'; '.join(parts)}. At least {needed} on each are expected; a topic with fewer earns "
            "in proportion, one without a heading nothing.",
            f"Under a heading for each, write at least {needed} words of your own: what you chose, "
            "why, what you tried instead, and what came of it. Words that you were given, in the "
            "template or in the notebooks, don't count.",
            share=math.fsum(earned) / len(earned),
        )
    return ", ".join(f"{topic}: {count} words" for topic, count in found.items())


def _own_count(text: str, template: str) -> int:
    """Return how many words are the student's; of a text that repeats itself, distinct ones."""
    own = report.own_words(text, template)
    distinct = len(set(own))
    return distinct if distinct < MOST_REPEATED * len(own) else len(own)


@lru_cache
def given_words(template: Path | None = None) -> str:
    """Return the text that the student was given: the template and the notebooks.

    The template is a notebook or a Markdown file; without one, the package's own is meant.
    """
    paths = GIVEN if template is None else (template, *GIVEN[1:])
    return "\n\n".join(_markdown(path) for path in paths)


def _markdown(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
