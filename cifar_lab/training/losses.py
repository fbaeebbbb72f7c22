"""The losses of an epoch's steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import torch
from torch import Tensor

from cifar_lab.utils.errors import TrainingDivergedError

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""A function of logits (N, num_classes) and labels, (N,) or soft, that returns the mean loss."""

AUXILIARY_WEIGHT = 0.3  # the weight of each auxiliary loss, as in GoogLeNet (Szegedy et al. 2014)
STEPS_BETWEEN_CHECKS = 50  # not each step, since reading a loss makes the host wait for the device


def batch_loss(loss_fn: LossFunction, outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return a batch's loss: that of the first logits, and 0.3 times that of each further ones.

    Raises:
        TypeError, ValueError: The loss is not one number.
    """
    loss = loss_fn(outputs[0], labels)
    for further in outputs[1:]:
        loss = loss + AUXILIARY_WEIGHT * loss_fn(further, labels)
    if not torch.is_tensor(loss):
        raise TypeError(
            f"loss_fn returned a {type(loss).__name__}; expected a tensor with the mean loss of "
            "the batch, computed from the logits by PyTorch's functions."
        )
    if loss.numel() != 1:
        raise ValueError(
            f"loss_fn returned shape {tuple(loss.shape)}; expected one number, the mean loss of "
            'the batch. Leave out reduction="none", or take .mean().'
        )
    return loss


class Losses:
    """The mean losses of an epoch's batches, read from the device every few steps.

    Attributes:
        count: The number of steps so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._read: list[float] = []
        self._unread: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Add a step's loss, a scalar.

        Raises:
            TrainingDivergedError: The loss of one of the latest steps is NaN or infinite.
        """
        self.count += 1
        self._unread.append(loss.detach().reshape(()))
        if len(self._unread) == STEPS_BETWEEN_CHECKS:
            self._check()

    def mean(self) -> float:
        """Return the mean of all losses.

        Raises:
            TrainingDivergedError: A loss is NaN or infinite.
        """
        self._check()
        return fmean(self._read)

    def _check(self) -> None:
        for loss in torch.stack(self._unread).tolist() if self._unread else []:
            self._read.append(loss)
            if not math.isfinite(loss):
                raise TrainingDivergedError(
                    f"the loss became {loss} at step {len(self._read)}. The usual cause is a "
                    "learning rate that is too high: try a tenth of it. Also check that the images "
                    "are neither NaN nor infinite."
                )
        self._unread.clear()
