"""An estimate of a training run's time, printed after its first steps."""

from __future__ import annotations

import itertools
import math
import time

import torch
from tqdm.std import tqdm

from cifar_lab.training.recipe import Recipe

TIMED_STEPS = 4


class TimeEstimate:
    """A timer of a run's first steps, which prints how long the run will take.

    Args:
        steps: The number of batches in an epoch; infinite where the loader has no len.
        recipe: The run's recipe.
        epochs_done: The number of epochs that were done before the run was resumed.
        device: The device that the run trains on.
        precision: The precision that the run trains in.
    """

    def __init__(
        self,
        steps: float,
        recipe: Recipe,
        epochs_done: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self._steps = steps
        self._epochs = recipe.epochs - epochs_done
        self._device = device
        number = f"{self._epochs} more" if epochs_done else f"{self._epochs}"
        unit = "epoch" if self._epochs == 1 else "epochs"
        epochs = f"{'Resuming:' if epochs_done else 'Training'} {number} {unit}"
        batches = "" if math.isinf(steps) else f" of {steps} batches"
        self._run = f"{epochs}{batches} on {device} in {precision}"
        self._times: list[float] = []

    def begin(self) -> None:
        """Start the clock."""
        self._times = [time.perf_counter()]
        if math.isinf(self._steps):
            print(f"{self._run}; the loader has no len, so no estimate.")

    def after_step(self) -> None:
        """Measure the time of a step; print the estimate when enough steps are measured."""
        if not self._left():
            return
        getattr(torch, self._device.type).synchronize()
        self._times.append(time.perf_counter())
        if self._left():
            return
        durations = [end - start for start, end in itertools.pairwise(self._times)]
        step_seconds = min(durations[1:] or durations)  # the first warms up
        minutes = self._epochs * self._steps * step_seconds / 60
        # Through tqdm, so that the line does not break the progress bar.
        tqdm.write(f"{self._run}: about {minutes:.1f} minutes, from one measured batch.")

    def _left(self) -> int:
        """Return the number of steps that are still to be measured."""
        if math.isinf(self._steps):
            return 0
        return max(0, 1 + min(TIMED_STEPS, int(self._steps)) - len(self._times))
