"""The runs that `cifar-lab run` is asked for, and the checkpoints that an interruption leaves."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.cli.options import RUNS
from cifar_lab.cli.saved_runs import epochs_done
from cifar_lab.cli.selection import named_experiments
from cifar_lab.utils.console import say

if TYPE_CHECKING:
    from cifar_lab.experiments.catalog import Experiment


@dataclass(frozen=True)
class Planned:
    """A run that the command asks for.

    Attributes:
        experiment: The experiment, as the options change it.
        usual: The name of the experiment that it comes from.
        seed: The seed.
    """

    experiment: Experiment
    usual: str
    seed: int

    def place(self, out: Path) -> Path:
        """Return the usual folder of the run."""
        from cifar_lab.experiments.folders import run_place

        return out / run_place(self.experiment.name, self.seed)

    def __str__(self) -> str:
        return f"{self.experiment.title} ({self.experiment.name}, seed {self.seed})"


def planned_runs(options: argparse.Namespace) -> list[Planned]:
    """Return the runs that are to be done, without finished ones if those are skipped."""
    pairs = [(each, _changed(each, options)) for each in named_experiments(options.names, options)]
    runs = []
    for seed in options.seeds:
        for usual, experiment in pairs:
            if options.skip_finished and _is_finished(experiment, seed, options.out or RUNS):
                say(f"{experiment.name} (seed {seed}) is finished, skipped")
            else:
                runs.append(Planned(experiment, usual.name, seed))
    return runs


def _changed(experiment: Experiment, options: argparse.Namespace) -> Experiment:
    """Return the experiment as the options change it."""
    if options.epochs is not None:
        experiment = replace(experiment, recipe=experiment.recipe.with_epochs(options.epochs))
    if options.hold_out is not None:
        experiment = replace(
            experiment,
            name=f"{experiment.name}-held-out-{options.hold_out:g}",
            validation_fraction=options.hold_out,
        )
    return experiment


def _is_finished(experiment: Experiment, seed: int, out: Path) -> bool:
    from cifar_lab.experiments.current_results import current_results

    finished = current_results(out, [experiment]).get(experiment.name, [])
    return any(result.seed == seed for result in finished)


def unfinished(
    run: Planned, options: argparse.Namespace
) -> tuple[tuple[int, int] | None, Path | None]:
    """Return how many epochs of how many an unfinished run has, and its folder; None for none."""
    from cifar_lab.experiments.folders import CHECKPOINT, RESULT, run_folders

    folder = next(iter(run_folders(run.place(options.out or RUNS))), None)  # the newest
    epochs = None if folder is None else epochs_done(folder)
    if folder is None or epochs is None:
        return None, None
    of_before = (folder / CHECKPOINT).stat().st_mtime < options.started
    if of_before and not options.resume:  # one that this command did not touch
        return None, None
    trained_on = epochs[0] < epochs[1] == run.experiment.recipe.epochs  # from a shorter run
    return (epochs, folder) if trained_on or not (folder / RESULT).exists() else (None, None)
