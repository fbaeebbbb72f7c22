"""Checks of what the student reports: the time of training, and the networks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading import report
from cifar_lab.grading.reading.durations import printed_seconds
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.models.counting import MLP_PARAMETERS

MOST_SIZES, MOST_REPORTS = 50, 500  # networks, and reports on them, that are looked at


@check(
    "Training took no longer than it may",
    expectation=(
        "at most {max_minutes:.0f} minutes by the recorded history, or by the notebook's "
        "own record of its cells"
    ),
    points={"a": 2, "b": 2},
)
def time_within_limit(evidence: Evidence) -> str:
    """Take the recorded history, the notebook's own record or a printed time, whichever there is.

    A history is not believed where the record shows that the trainings took longer on the average.
    """
    limit = 60 * evidence.settings.max_minutes
    seconds, source = training_seconds(evidence)
    if seconds is None:
        seconds, source = printed_seconds(evidence.cells()), "the time that the notebook prints"
        if seconds is None or seconds > limit:  # printed numbers are easily misread
            raise NotMadeError(
                "Neither a history nor the notebook's own record says how long training took.",
                "Student: hand the history to cifar_lab.submit, run the notebook with cifar-lab "
                "notebook, or print the time ('Training took 12.5 minutes'). Instructor: this "
                "alone is no reason to look at a submission.",
            )
    seen = f"{seconds / 60:.1f} minutes by {source}"
    if seconds > limit:
        raise SubmissionError(
            "time_within_limit",
            f"{seen}.",
            "Train fewer epochs, or a network with fewer multiply-accumulates.",
        )
    return seen


def training_seconds(evidence: Evidence) -> tuple[float | None, str]:
    """Return how long training took, and by which record; None where there is no record."""
    recorded = report.recorded_seconds(evidence.cells())
    history = evidence.submission.manifest.get("history") or []
    if isinstance(history, list) and history:
        given: list[Any] = [epoch.get("seconds") for epoch in history if isinstance(epoch, dict)]
        if given and all(map(report.is_duration, given)):
            average = (recorded or 0.0) / max(1, _trainings(evidence))
            if average <= 60 * evidence.settings.max_minutes:
                return math.fsum(given), "the recorded history"
            return average, "the notebook's record, on the average of its trainings"
    return recorded, "the notebook's record"


def _trainings(evidence: Evidence) -> int:
    """Return how many networks the notebook trains, where it could be run."""
    try:
        optimizers = evidence.run()["watch"]["optimizers"]
    except (SubmissionError, NotMadeError):
        return 1
    return len({one["network"] for one in optimizers})


@check(
    "At least two iterations are reported",
    expectation=(
        "at least {min_iterations} networks of your own, each with its name, its parameters and "
        "its test accuracy in one line, table row or paragraph; trained in this notebook; with "
        "the accuracy that the notebook's output shows"
    ),
    points={"a": 8},
    needs_own_network=False,
)
def iterations_reported(evidence: Evidence) -> str:
    """Count the networks that were trained here, with reported figures that agree with the run."""
    watch = evidence.run()["watch"]
    optimizers = watch["optimizers"]
    networks = {(one["parameters"], one["network"]) for one in optimizers if not one.get("like")}
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
        given = sorted({one["like"] for one in optimizers if one.get("like")})
        not_own = f" Those that you were given don't count: {', '.join(given)}." if given else ""
        raise SubmissionError(
            "iterations_reported",
            f"{seen}. The notebook trains networks of {_listed(trained)} parameters that are your "
            f"own.{not_own}",
            f"Build and train at least {needed} networks of your own. Report each with its name, "
            "its number of parameters and its test accuracy in one line or table row, as printed "
            "by the notebook.",
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
