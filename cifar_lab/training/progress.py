"""The view of a run that a callback gets after each epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from cifar_lab.training.history import EpochRecord, History


@dataclass(frozen=True)
class Progress:
    """A run after one of its epochs, as a callback of `fit` or `run` sees it.

    A callback is any function of it. If it returns True, training ends after this epoch.

    Attributes:
        model: The model as it trains: with the weights of the last step, not their average.
        optimizer: The optimizer of the run. Its learning rate is the recipe's schedule's to set, or
            the scheduler's that `fit` got.
        record: The figures of this epoch.
        history: The records of all epochs so far.
        epochs: The number of epochs that are planned.
        title: The experiment's title in `run`; "" in `fit`.

    Example:
        >>> import cifar_lab as lab
        >>> train, validation = lab.split(lab.load("synthetic").train, seed=0)
        >>> def stop_when_good(progress):
        ...     return progress.record.validation_accuracy > 5
        >>> recipe = lab.Recipe(epochs=20, batch_size=250, optimizer="adam", learning_rate=1e-3)
        >>> history = lab.fit(
        ...     lab.build_model("mlp"), train, recipe, validation=validation,
        ...     callback=stop_when_good, progress=False,
        ... )
        >>> len(history) < 20
        True
    """

    model: nn.Module = field(repr=False)
    optimizer: torch.optim.Optimizer = field(repr=False)
    record: EpochRecord
    history: History
    epochs: int
    title: str = ""


Callback = Callable[[Progress], object]
"""A function that is called after each epoch; training ends where it returns True."""


def asks_to_stop(answer: Any) -> bool:
    """Return whether a callback's answer ends the training: True alone, also numpy's or PyTorch's.

    Other values that count as true don't: a callback may return a figure that it measured.
    """
    if torch.is_tensor(answer):
        return answer.dtype == torch.bool and answer.numel() == 1 and bool(answer)
    return isinstance(answer, bool | np.bool_) and bool(answer)


def refuse_uncallable(**functions: Any) -> None:
    """Check the functions that are called after each epoch, before the first one is trained.

    Raises:
        TypeError: One is not a function of one argument.
    """
    for name, function in functions.items():
        if function is None:
            continue
        what = "the epoch's record" if name == "on_epoch" else "a cifar_lab.Progress"
        expected = f"expected a function of one argument, {what}"
        if isinstance(function, type):
            raise TypeError(f"{name} is the class {function.__name__}; {expected}: an instance.")
        if not callable(function):
            raise TypeError(f"{name} is {function!r}; {expected}.")
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # a function that is not written in Python
            continue
        try:
            signature.bind(None)
        except TypeError as error:
            raise TypeError(f"{name} can't be called: {error}; {expected}.") from None
