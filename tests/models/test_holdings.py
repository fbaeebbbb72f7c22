"""What containers and generators hold comes back as it was."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import pytest
import torch

from cifar_lab.models.holdings import holdings


def test_containers_are_the_same_with_the_same_content() -> None:
    inner: list[Any] = [1, [2]]
    held: dict[str, Any] = {
        "list": inner,
        "tuple": (deque([3], maxlen=2), {4}),
        "counted": Counter(a=5),
        "ordered": OrderedDict(b=6, a=7),
        "default": defaultdict(list),
    }
    held["itself"] = held
    restore = holdings([held])
    inner[1].append(0)
    inner.clear()
    held["tuple"][0].extend([8, 9])
    held["tuple"][1].add(10)
    held["counted"]["a"] += 1
    held["ordered"].move_to_end("b")
    held["default"]["x"].append(1)
    del held["list"]
    restore()
    assert held["list"] is inner
    assert inner == [1, [2]]
    assert held["tuple"] == (deque([3]), {4})
    assert held["counted"] == Counter(a=5)
    assert list(held["ordered"]) == ["b", "a"]
    assert not held["default"]
    assert held["itself"] is held


@pytest.mark.parametrize(
    ("generator", "draw"),
    [
        (torch.Generator(), lambda one: torch.rand(1, generator=one).item()),
        (np.random.default_rng(0), lambda one: one.random()),
        (np.random.RandomState(0), lambda one: one.rand()),
        (random.Random(0), lambda one: one.random()),
    ],
)
def test_generators_draw_the_same_again(generator: Any, draw: Any) -> None:
    restore = holdings([[generator]])
    first = draw(generator)
    restore()
    assert draw(generator) == first


def test_a_generator_without_a_state_is_left_alone() -> None:
    holdings([[random.SystemRandom()]])()
