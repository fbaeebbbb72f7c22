"""Trials of variants over seeds: their accuracies, the gains between them, and their files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Any

from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.files import read_text, user_path, write_text
from cifar_lab.utils.plain import to_json
from cifar_lab.utils.statistics import mean_and_spread, sample_spread, standard_error
from cifar_lab.utils.wording import counted

CLEAR = 2.0  # standard errors above which a difference is more than noise


@dataclass(frozen=True)
class Trial:
    """A variant's training runs, one for each seed.

    Attributes:
        title: The variant's title.
        heading: The variant's heading.
        dataset: The dataset that it was trained and validated on.
        recipe: How it was trained.
        parameters: Number of parameters of its model.
        training_flops: Floating-point operations of one training run, in matrix products.
        validation_images: Number of images that the accuracies were measured on.
        histories: One record per epoch, by seed.
    """

    title: str
    heading: str
    dataset: str
    recipe: Recipe
    parameters: int
    training_flops: float
    validation_images: int
    histories: dict[int, History]

    def __repr__(self) -> str:
        seeds = counted(len(self.histories), "seed")
        return (
            f"Trial({self.title}: validation accuracy {mean_and_spread(self.accuracies)} %, "
            f"{seeds}, on {self.dataset}, {self.parameters:,} parameters)"
        )

    @property
    def history(self) -> History:
        """The first seed's records, one per epoch."""
        return next(iter(self.histories.values()))

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracies in percent after the last epoch, one per seed."""
        return [last_accuracy(history) for history in self.histories.values()]

    @property
    def accuracy(self) -> float:
        """The mean of the accuracies."""
        return mean(self.accuracies)

    @property
    def spread(self) -> float:
        """The standard deviation between seeds (of the sample); 0 for a single seed."""
        return sample_spread(self.accuracies)


def last_accuracy(history: Sequence[EpochRecord]) -> float:
    """Return the validation accuracy in percent after the last epoch."""
    accuracy = history[-1].validation_accuracy
    assert accuracy is not None  # `compare_variants` always has validation images
    return accuracy


def pooled_spread(trials: Sequence[Trial]) -> float | None:
    """Return the standard deviation between seeds that all trials share.

    Two or three seeds say little about the spread of one variant, but those of many variants
    together say more. The result is None where every trial has a single seed.
    """
    variances = [trial.spread**2 for trial in trials if len(trial.histories) > 1]
    return mean(variances) ** 0.5 if variances else None


@dataclass(frozen=True)
class Gain:
    """A trial's difference from another in validation accuracy.

    Attributes:
        trial: The trial that is compared.
        points: Its accuracy minus the other's, in percentage points.
        error: The standard error of the points, from the pooled spread between seeds.
        one_seed: Whether that spread is unknown. The error is then that of the two accuracies on a
            sample of images, which is less than what another seed would change.
    """

    trial: Trial
    points: float
    error: float
    one_seed: bool = False

    @property
    def verdict(self) -> str:
        """One of "helps", "harms" and "can't tell"; from one seed, "helps (one seed)" and so on."""
        if abs(self.points) <= CLEAR * self.error:
            return "can't tell"
        return ("helps" if self.points > 0 else "harms") + (" (one seed)" if self.one_seed else "")


def gains(
    trials: Sequence[Trial], against: Trial | None = None, spread: float | None = None
) -> list[Gain]:
    """Return the gain of each trial over the one before it, or over one particular trial.

    Args:
        trials: Trials in the order in which they are compared.
        against: The trial that all are compared with; None for the one before each.
        spread: Standard deviation between seeds; None for the `pooled_spread` of these trials. If
            every trial has one seed, only the standard error of the accuracies is known.
    """
    if spread is None:
        spread = pooled_spread([*trials, *([against] if against else [])])
    before = [against] * len(trials) if against else [None, *trials[:-1]]
    found = []
    for start, end in zip(before, trials, strict=True):
        if start is None or start is end:
            continue
        if spread is None:
            error = math.hypot(*(_sampling_error(each) for each in (start, end)))
        else:
            error = spread * (1 / len(start.histories) + 1 / len(end.histories)) ** 0.5
        found.append(Gain(end, end.accuracy - start.accuracy, error, one_seed=spread is None))
    return found


def _sampling_error(trial: Trial) -> float:
    return standard_error(trial.accuracy, trial.validation_images)


def save_trials(trials: Sequence[Trial], path: str | Path) -> None:
    """Write trials as JSON, from which `load_trials` builds equal ones."""
    rows = []
    for trial in trials:
        row = {field.name: getattr(trial, field.name) for field in fields(trial)}
        rows.append(row | {"recipe": trial.recipe.to_dict()})
    write_text(path, to_json(rows) + "\n")


def load_trials(path: str | Path) -> list[Trial]:
    """Load the trials that `save_trials` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds something else.
    """
    try:
        return [_from_row(row) for row in json.loads(read_text(user_path(path)))]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} holds no trials; expected a file that `save_trials` wrote ({error})."
        ) from error


def _from_row(row: dict[str, Any]) -> Trial:
    histories = {  # JSON has no numbers as keys
        int(seed): History(EpochRecord(**record) for record in history)
        for seed, history in row["histories"].items()
    }
    return Trial(**{**row, "recipe": Recipe.from_dict(row["recipe"]), "histories": histories})
