"""The contents of lists, dicts and random generators, noted so that they can be restored."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch


def holdings(held: Iterable[Any]) -> Callable[[], None]:
    """Note the contents of nested containers, and return a function that restores them.

    The containers stay the same objects, with the same objects in the same places. Random
    generators in them are restored too. The contents of other objects are left alone.
    """
    seen: set[int] = set()
    restores = [restore for each in held for restore in _restores(each, seen)]

    def restore_all() -> None:
        for restore in restores:
            restore()

    return restore_all


def _restores(value: Any, seen: set[int]) -> Iterator[Callable[[], object]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    inside: Iterable[Any] = ()
    if isinstance(value, dict):
        inside = list(value.values())
        yield partial(_refill, value, value.update, dict(value))
    elif isinstance(value, list | deque):
        inside = list(value)
        yield partial(_refill, value, value.extend, inside)
    elif isinstance(value, set):
        yield partial(_refill, value, value.update, set(value))
    elif isinstance(value, tuple):
        inside = value
    elif isinstance(value, torch.Generator):
        yield partial(value.set_state, value.get_state())
    elif isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        yield partial(value.setstate, value.getstate())
    elif isinstance(value, np.random.RandomState):
        yield partial(value.set_state, value.get_state())
    elif isinstance(value, np.random.Generator):
        yield partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    for each in inside:
        yield from _restores(each, seen)


def _refill(container: Any, fill: Callable[[Any], object], content: Any) -> None:
    container.clear()
    fill(content)
