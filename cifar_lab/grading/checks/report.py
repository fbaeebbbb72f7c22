"""Checks of what the student writes: recorded time, reported networks, discussions."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading import report
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.models.counting import MLP_PARAMETERS

HERE = Path(__file__).parents[1]
GIVEN = tuple(  # files whose words are not the student's
    HERE / name
    for name in (
        "template_b.md",
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
MOST_SIZES, MOST_REPORTS = 50, 500  # networks, and reports on them, that are looked at
MOST_REPEATED = 0.35  # share of distinct words below which a text repeats itself


@check(
    "Training took no longer than it may",
    expectation=(
        "at most {max_minutes:.0f} minutes by the recorded history, or by the notebook's "
        "own record of its cells"
    ),
    points={"a": 2, "b": 4},
)
def time_within_limit(evidence: Evidence) -> str:
    """Add up the seconds in the history, or else in the notebook's own record."""
    history = evidence.submission.manifest.get("history") or []
    seconds: float | None = None
    source = "the recorded history"
    if isinstance(history, list) and history:
        given: list[Any] = [epoch.get("seconds") for epoch in history if isinstance(epoch, dict)]
        if given and all(map(report.is_duration, given)):
            seconds = math.fsum(given)
    if seconds is None:
        seconds, source = report.recorded_seconds(evidence.cells()), "the notebook's record"
    if seconds is None:
        raise NotMadeError(
            "Neither a history nor the notebook's own record says how long training took. Hand "
            "the history to cifar_lab.submit, or run the notebook with cifar-lab notebook."
        )
    limit = evidence.settings.max_minutes
    seen = f"{seconds / 60:.1f} minutes by {source}"
    if seconds > 60 * limit:
        raise SubmissionError(
            "time_within_limit",
            f"{seen}.",
            "Train fewer epochs, or a network with fewer multiply-accumulates.",
        )
    return seen


@check(
    "At least two iterations are reported",
    expectation=(
        "at least {min_iterations} networks besides the MLP, each with its name, its "
        "parameters and its test accuracy in one line, table row or paragraph; trained in "
        "this notebook; with the accuracy that the notebook's output shows"
    ),
    points={"a": 10},
)
def iterations_reported(evidence: Evidence) -> str:
    """Count the networks that were trained here, with reported figures that agree with the run."""
    watch = evidence.run()["watch"]
    networks = {(one["parameters"], one["network"]) for one in watch["optimizers"]}
    sizes = Counter(size for size, _ in networks if size != MLP_PARAMETERS)
    trained = set(sorted(sizes)[:MOST_SIZES])
    shown = report.figures(report.all_output(evidence.cells()))
    agreeing: dict[int, set[tuple[float, ...]]] = {}  # of one size, trained in different ways
    wrong: list[str] = []
    for text, parameters, accuracies in islice(_reports(evidence, trained), MOST_REPORTS):
        right = [one for one in accuracies if _is_among(shown, one)]
        if right:
            others = (round(one, 1) for one in report.decimals(text))
            agreeing.setdefault(parameters, set()).add((round(right[0], 1), *others))
        elif accuracies:
            wrong.append(text[:120])
    needed = evidence.settings.min_iterations
    count = sum(min(len(found), sizes[size]) for size, found in agreeing.items())
    if count < needed:
        evidence.ran_to_the_end()  # after a cell that failed, others might have been trained
        seen = f"{count} reported iterations agree with the run"
        if wrong:
            seen += f"; an accuracy that no cell's output shows: {wrong[0]!r}"
        raise SubmissionError(
            "iterations_reported",
            f"{seen}. The notebook trains networks of {_listed(trained)} parameters.",
            f"Report at least {needed} of them, each with its name, its number of parameters and "
            "its test accuracy in one line or table row, as printed by the notebook.",
        )
    return f"networks of {_listed(agreeing)} parameters"


def _reports(evidence: Evidence, trained: set[int]) -> Iterator[tuple[str, int, list[float]]]:
    """Yield each passage, or record of the manifest, that names a trained network's parameters."""
    listed: Any = evidence.submission.manifest.get("iterations") or []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and str(one.get("title") or "").strip():
            accuracy, parameters = one.get("test_accuracy"), one.get("parameters")
            if not is_number(parameters) or not is_number(accuracy):
                continue
            if parameters in trained and 0 <= accuracy <= 100:
                yield str(one["title"]), int(parameters), [float(accuracy)]
    for passage in report.passages(evidence.cells()):
        if re.search(r"[^\W\d_]{3,}", passage):
            for parameters in report.counts(passage, trained):
                yield passage, parameters, report.percentages(passage)


def _is_among(shown: np.ndarray, percentage: float) -> bool:
    """Return whether a number is among these, in ascending order, as far as it is rounded."""
    tolerance = _tolerance(percentage)
    place = np.searchsorted(shown, percentage - tolerance)
    return bool(place < len(shown) and shown[place] <= percentage + tolerance)


def _tolerance(percentage: float) -> float:
    """Return how far a percentage may be rounded: 66 or 66.5 for 66.47."""
    return 0.5 if percentage.is_integer() else 0.06


def _listed(numbers: Any) -> str:
    return ", ".join(f"{number:,}" for number in sorted(numbers)) or "no"


@check(
    "The five choices are discussed in your own words",
    expectation=(
        "under a heading each, at least {min_words} words of your own on model "
        "architecture, hyperparameters, regularisation, optimizer and validation scheme; "
        "a topic with fewer words earns its fifth in proportion"
    ),
    points={"b": 10},
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
            "template or in notebook 02, don't count.",
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
    """Return the text that the student was given: the template and notebook 02.

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
