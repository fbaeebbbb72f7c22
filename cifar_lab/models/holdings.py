"""What objects hold in lists, dicts and generators, to be brought back to how it was."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch


def holdings(held: Iterable[Any]) -> Callable[[], None]:
    """Note what is in containers, and in those inside them; the function returned restores it.

    They are the same containers afterwards, with the same objects in the same places. Generators
    of random numbers in them are restored too. What an object of another kind holds is left alone.
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
