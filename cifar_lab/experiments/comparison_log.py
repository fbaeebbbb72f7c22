"""The lines that a comparison of variants prints, with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_lab.experiments.trials import Trial, last_accuracy
from cifar_lab.utils.console import say
from cifar_lab.utils.wording import duration


class ComparisonLog:
    """One line per run, with an estimate of the time left that each run corrects.

    Args:
        trials: All trials of the comparison, before their runs.
        seeds: The number of runs of each.
    """

    def __init__(self, trials: Sequence[Trial], seeds: int) -> None:
        self._runs = len(trials) * seeds
        self._done = 0
        self._width = max(len(trial.title) for trial in trials)
        self._flops_left = seeds * sum(trial.training_flops for trial in trials)
        self._flops = self._seconds = 0.0

    def add(self, trial: Trial, seed: int, *, epochs: int, seconds: float) -> None:
        """Print a run's line.

        Args:
            trial: The trial that the run is of.
            seed: The run's seed.
            epochs: The number of epochs that were trained now, not in an earlier call.
            seconds: The time that these took.
        """
        self._done += 1
        self._flops_left -= trial.training_flops
        if epochs:
            self._flops += trial.training_flops * epochs / trial.recipe.epochs
            self._seconds += seconds
        history = trial.histories[seed]
        time_taken = sum(record.seconds for record in history)
        line = (
            f"[{self._done:{len(str(self._runs))}}/{self._runs}] {trial.title:{self._width}}  "
            f"seed {seed}: validation accuracy {last_accuracy(history):5.2f} %, {time_taken:5.0f} s"
        )
        if not epochs:
            line += ", already trained"
        if self._done < self._runs and self._flops:
            left = self._seconds * self._flops_left / self._flops
            line += f"; about {duration(left)} left"
        say(line)
