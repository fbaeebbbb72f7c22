"""Whatever a student's process answers, grading ends in verdicts, not in the grader's error."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handed_in.replay import SUBMISSIONS, forge, real

from cifar_lab.grading.reports import write_reports
from cifar_lab.grading.verdicts import BLOCKED, FAILED, NOT_MADE, PASSED, Grade

REMOVED = object()
nested: list[Any] = []
for _ in range(150):
    nested = [nested]
NASTY: tuple[Any, ...] = (
    REMOVED,
    None,
    True,
    -1,
    2**63,
    10**4299,  # the longest that JSON's reader takes
    0.5,
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    "\ud800",
    "\x1b]0;title\x07\u202e",
    "x" * 200_000,
    [],
    [[]],
    [None] * 3,
    ["x"] * 30_000,
    nested,
    {},
    {"value": None},
    {"\ud800": [{}]},
    {"error": 5},
)
MOST_INSIDE = 25  # names in a dict: those of a network's tensors are alike
TRIES = 3  # values for each place, beside those that every place gets
STATUSES = {PASSED, FAILED, BLOCKED, NOT_MADE}


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in nested data; of a list the first entry stands for all."""
    yield path
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value[:1])
        for key, part in list(inside)[:MOST_INSIDE]:
            yield from places_in(part, (*path, key))


def forged(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return {} if value is REMOVED else value
    answer = copy.deepcopy(answer)
    holder = answer
    for key in path[:-1]:
        holder = holder[key]
    if value is REMOVED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return answer


def assert_is_a_grade(grade: Grade, name: str, folder: Path) -> None:
    expected = real(name)[1]
    assert [one.check for one in grade.verdicts] == [one.check for one in expected.verdicts]
    assert {one.status for one in grade.verdicts} <= STATUSES
    text = json.dumps(grade.to_dict(), ensure_ascii=False)
    assert Grade.from_dict(json.loads(text)).earned == grade.earned
    text.encode("utf-8")
    assert not set(text) & set("\x1b\x07\u202e")
    write_reports(grade, folder / "reports")


def try_all(name: str, folder: Path, tries: int) -> None:
    outcomes, grade = real(name)
    assert grade.earned == (94 if name == "with a cell that fails" else 100)
    draws = random.Random(name)
    for key, outcome in outcomes.items():
        for path in places_in(outcome.answer):
            for value in draws.sample(NASTY, tries):
                changed = forged(outcome.answer, path, value)
                found = forge(
                    name, key, lambda one, changed=changed: replace(one, answer=changed), folder
                )
                assert_is_a_grade(found, name, folder)


@pytest.mark.parametrize("name", ["plain"])
def test_forged_answers_end_in_verdicts(name: str, tmp_path: Path) -> None:
    try_all(name, tmp_path, tries=1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", SUBMISSIONS)
def test_forged_answers_of_all_submissions_end_in_verdicts(name: str, tmp_path: Path) -> None:
    try_all(name, tmp_path, tries=TRIES)


ARRAYS: tuple[Any, ...] = (
    REMOVED,
    np.zeros(()),
    np.zeros((0, 10)),
    np.zeros((2_000, 0)),
    np.zeros((3, 10)),
    np.zeros((2_000, 11), dtype=bool),
    np.full((2_000, 10), np.nan),
    np.full((2_000, 10), 1j),
    np.zeros((2, 2_000, 10)),
    np.arange(20_000).reshape(2_000, 10),
)


@pytest.mark.parametrize("place", range(len(ARRAYS)))
def test_forged_arrays_end_in_verdicts(place: int, tmp_path: Path) -> None:
    outcomes = real("plain")[0]
    for key, outcome in outcomes.items():
        for array in outcome.arrays:
            given = {**outcome.arrays, array: ARRAYS[place]}
            if ARRAYS[place] is REMOVED:
                del given[array]
            found = forge(
                "plain", key, lambda one, given=given: replace(one, arrays=given), tmp_path
            )
            assert_is_a_grade(found, "plain", tmp_path)
