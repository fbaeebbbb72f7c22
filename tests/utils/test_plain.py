"""Numbers of numpy and PyTorch become Python's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.utils.plain import as_flag, as_number, as_whole, plain, to_json


@dataclass
class Point:
    x: Any
    y: Any


def types_in(value: Any) -> set[type]:
    if isinstance(value, dict):
        return {type(name) for name in value} | {
            one for item in value.values() for one in types_in(item)
        }
    if isinstance(value, list):
        return {one for item in value for one in types_in(item)}
    return {type(value)}


def test_nested_data_becomes_plain() -> None:
    value = {
        np.int64(3): (np.float32(1.5), torch.tensor([1, 2])),
        "array": np.array([[True], [False]]),
        "text": np.str_("name"),
        "point": Point(torch.tensor(2.5, requires_grad=True), None),
    }
    found = plain(value)
    assert found == {
        3: [1.5, [1, 2]],
        "array": [[True], [False]],
        "text": "name",
        "point": {"x": 2.5, "y": None},
    }
    assert types_in(found) == {int, float, bool, str, type(None)}


def test_json_has_null_for_what_is_no_number() -> None:
    value = [float("nan"), np.float32("inf"), {"a": torch.tensor(float("-inf"))}, 0.5]
    assert json.loads(to_json(value)) == [None, None, {"a": None}, 0.5]
    with pytest.raises(TypeError, match="type set is not"):
        to_json({1, 2})


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3), torch.tensor([3])]
)
def test_a_whole_number_is_taken_from_anywhere(value: Any) -> None:
    found = as_whole("count", value, at_least=3)
    assert found == 3 and type(found) is int
    with pytest.raises(ValueError, match="count is .*3.*; expected a whole number, at least 4"):
        as_whole("count", value, at_least=4)


@pytest.mark.parametrize(
    "value",
    [3.0, np.float64(3), "3", None, True, np.True_, torch.tensor(True), torch.tensor([3, 4])],
)
def test_what_is_no_whole_number_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match="count is .*; expected a whole number"):
        as_whole("count", value)


@pytest.mark.parametrize(
    "value",
    [
        0.1,
        np.float64(0.1),
        np.float32(0.1),
        np.float16(0.1),
        np.array([0.1]),
        torch.tensor(0.1),
        torch.tensor([0.1], requires_grad=True),
        torch.tensor(0.1, dtype=torch.float64),
    ],
)
def test_a_number_is_what_was_typed(value: Any) -> None:
    found = as_number("rate", value)
    assert found == 0.1 and type(found) is float


@pytest.mark.parametrize("value", [2, np.int32(2), torch.tensor(2)])
def test_a_whole_number_stays_whole(value: Any) -> None:
    assert type(as_number("rate", value)) is int


@pytest.mark.parametrize("value", ["0.1", None, True, np.False_, [0.1], torch.ones(2), 1j])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match="rate is .*; expected a number"):
        as_number("rate", value)


@pytest.mark.parametrize("value", [True, np.True_, torch.tensor(True)])
def test_a_flag_is_taken_from_anywhere(value: Any) -> None:
    assert as_flag("on", value) is True


@pytest.mark.parametrize("value", [1, "yes", None, np.int64(1), torch.ones(2).bool()])
def test_what_is_no_flag_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match="on is .*; expected True or False"):
        as_flag("on", value)
