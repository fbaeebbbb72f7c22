"""The view of a run that a callback gets after each epoch."""

from __future__ import annotations

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
        optimizer: The optimizer of the run.
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
    """Return whether a callback's answer ends the training: True alone, also numpy's.

    Other values that count as true don't: a callback may return a figure that it measured.
    """
    return isinstance(answer, bool | np.bool_) and bool(answer)
