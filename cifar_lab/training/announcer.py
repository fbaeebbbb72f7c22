"""The lines that a training run prints: its beginning, one per epoch, and an early end."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from tqdm.std import tqdm

from cifar_lab.training.estimate import TimeEstimate
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.console import say
from cifar_lab.utils.wording import counted, duration

BUSY = 2.0  # times as many programs that want to run as there are cores


class Announcer:
    """A run's printed lines; none where nothing is to be printed.

    Args:
        state: The run's state, as it is at the beginning of this call.
        steps: The number of batches in an epoch; infinite where the loader has no len.
        device: The device that the run trains on.
        precision: The precision that the run trains in.
        enabled: Whether to print.
    """

    def __init__(
        self,
        state: TrainingState,
        steps: float,
        device: torch.device,
        precision: str,
        *,
        enabled: bool,
    ) -> None:
        self.enabled = enabled
        self._state = state
        self._steps = steps
        self._device = device
        self._precision = precision
        self._done = len(state.history)
        self._estimate = TimeEstimate(steps, state.recipe.epochs - self._done, device)

    def begin(self, checkpoint: str | Path | None, sharing: str = "") -> None:
        """Say what will be trained, or that all is done already; start the clock.

        Args:
            checkpoint: The file that the run is saved in; None for none.
            sharing: A sentence on the processes that share the run; "" for none.
        """
        if not self.enabled:
            return
        epochs = self._state.recipe.epochs - self._done
        if self._state.finished:
            say(f"Already trained: {counted(self._done, 'epoch')}, loaded from {checkpoint}.")
            return
        more = f"Resuming: {counted(epochs, 'more epoch')}"
        text = more if self._done else f"Training {counted(epochs, 'epoch')}"
        if not math.isinf(self._steps):
            text += f" of {self._steps:,} {'batch' if self._steps == 1 else 'batches'}"
        say(f"{text} on {self._device} in {self._precision}. {sharing}".rstrip())
        hint = busy_hint() if self._device.type == "cpu" else None
        if hint is not None:
            say(hint)
        self._estimate.begin()

    def after_step(self) -> None:
        """Print how long the run will take, when enough steps are measured."""
        if not self.enabled:
            return
        seconds = self._estimate.after_step()
        if seconds is not None:
            # Through tqdm, so that the line does not break the progress bar.
            tqdm.write(f"About {duration(seconds)}, from the first batches.")

    def after_epoch(self, record: EpochRecord) -> None:
        """Print the epoch's figures, and how long the rest will take."""
        if not self.enabled:
            return
        seconds = self._estimate.after_epoch()
        left = "" if self._state.finished else f"   about {duration(seconds)} left"
        say(f"{record}{left}")

    def end(self) -> None:
        """Say why training ended before the last epoch, and which weights are kept."""
        state = self._state
        epoch = len(state.history)
        if not self.enabled or epoch in (self._done, state.recipe.epochs):
            return
        why = "the callback returned True"
        if not state.stopped:
            patience = counted(state.recipe.patience or 0, "epoch")
            why = f"no better validation accuracy for {patience}"
        best = state.best_weights is not None
        kept = f"epoch {state.best_epoch}" if best else "the last weights"
        say(f"Stopped after epoch {epoch}: {why}; kept {kept}.")


def busy_hint() -> str | None:
    """Return a line where many other programs run and PyTorch would share the work; else None."""
    if not hasattr(os, "getloadavg") or torch.get_num_threads() == 1:
        return None
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= BUSY * cores:
        return None
    return (
        f"The machine is busy: load {load:.0f} on {counted(cores, 'core')}, so estimates will "
        "change. One thread may be faster: set OMP_NUM_THREADS=1 before Python starts."
    )
