"""Gradings whose processes are not run again: what they answered once is replayed, or forged."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.grading import sandboxing
from cifar_lab.grading.isolation.sandbox import Limits, Outcome
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import Grade

from .correct import plain_a, plain_b, with_the_library
from .making import HandedIn, code
from .quick import run_forked

LIMITS = Limits(wall_seconds=120, cpu_seconds=120, memory_mib=4096, file_mib=256)


def failing() -> HandedIn:
    """Assignment A, with a cell in the middle that fails, so that others follow it."""
    return plain_a().after("model", code("print(nobody_s)"))


SUBMISSIONS = {
    "plain": ("a", plain_a),
    "with a program": ("a", with_the_library),
    "with a cell that fails": ("a", failing),
    "of assignment B": ("b", plain_b),
}


def key_of(script: str, arguments: Mapping[str, Any]) -> str:
    module = script.strip().splitlines()[-1].partition(".")[0]
    return f"{module} {arguments.get('variant')} {arguments.get('then')} {arguments.get('length')}"


@lru_cache
def real(name: str) -> tuple[dict[str, Outcome], Grade]:
    """The real outcomes of all that grading runs of a submission, and its grade."""
    outcomes: dict[str, Outcome] = {}

    def record(script: str, *, arguments: Mapping[str, Any], **given: Any) -> Outcome:
        outcome = run_forked(script, arguments=arguments, **given)
        outcomes[key_of(script, arguments)] = outcome
        return outcome

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(sandboxing, "run_isolated", record)
        grade = graded(name, Path(folder))
    return outcomes, grade


def graded(name: str, folder: Path) -> Grade:
    assignment, make = SUBMISSIONS[name]
    place = folder / "handed-in"
    if not place.exists():
        make().write(place)
    return grade_submission(place, Settings(assignment, dataset="synthetic", run=LIMITS))


def forge(name: str, key: str, change: Callable[[Outcome], Outcome], folder: Path) -> Grade:
    """The grade where one of the processes gives another outcome."""
    outcomes = real(name)[0]

    def answer(script: str, *, arguments: Mapping[str, Any], **given: Any) -> Outcome:
        asked = key_of(script, arguments)
        outcome = outcomes.get(asked) or next(
            one for each, one in outcomes.items() if each.split()[0] == asked.split()[0]
        )
        outcome = replace(outcome, answer=copy.deepcopy(outcome.answer))
        return change(outcome) if asked == key else outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandboxing, "run_isolated", answer)
        return graded(name, folder)
