"""An estimate of a run's time: from its first steps, then from its latest epochs."""

from __future__ import annotations

import itertools
import math
import time
from statistics import fmean

import torch

from cifar_lab.utils.devices import wait_for

TIMED_STEPS = 4
TIMED_EPOCHS = 3  # not all, since other programs come and go


class TimeEstimate:
    """A timer of a run's first steps and of its epochs.

    Args:
        steps: The number of batches in an epoch; infinite where the loader has no len.
        epochs: The number of epochs that are to be trained.
        device: The device that the run trains on.
    """

    def __init__(self, steps: float, epochs: int, device: torch.device) -> None:
        self._steps = steps
        self._epochs = epochs
        self._device = device
        self._times: list[float] = []
        self._epoch_times: list[float] = []

    def begin(self) -> None:
        """Start the clock."""
        self._times = [time.perf_counter()]
        self._epoch_times = self._times[:]

    def after_step(self) -> float | None:
        """Return the seconds that the whole run will take, once: when enough steps are measured."""
        if not self._left():
            return None
        wait_for(self._device)
        self._times.append(time.perf_counter())
        if self._left():
            return None
        durations = [end - start for start, end in itertools.pairwise(self._times)]
        return self._epochs * self._steps * min(durations[1:] or durations)  # the first warms up

    def after_epoch(self) -> float:
        """Return the seconds that are left, from the latest epochs with their evaluation."""
        self._epoch_times.append(time.perf_counter())
        latest = self._epoch_times[-TIMED_EPOCHS - 1 :]
        left = self._epochs - (len(self._epoch_times) - 1)
        return left * fmean(end - start for start, end in itertools.pairwise(latest))

    def _left(self) -> int:
        """Return the number of steps that are still to be measured."""
        if math.isinf(self._steps):
            return 0
        return max(0, 1 + min(TIMED_STEPS, int(self._steps)) - len(self._times))
