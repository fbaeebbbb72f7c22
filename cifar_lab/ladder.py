"""A ladder of variants, one change at a time, each trained from several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch

from cifar_lab.ablation import Trial, Variant, try_variants
from cifar_lab.data import ImageSet
from cifar_lab.models.size import count_parameters, count_training_flops

CLEAR = 2.0  # standard errors from which a difference is more than noise


@dataclass(frozen=True)
class Rung:
    """A variant, and what became of it from each seed.

    Attributes:
        title: the variant's.
        parameters: numbers in its model's parameters.
        training_flops: floating-point operations of one training, in matrix products.
        trials: one a seed.
    """

    title: str
    parameters: int
    training_flops: float
    trials: tuple[Trial, ...]

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracy in percent after the last epoch, by seed."""
        return [trial.accuracy for trial in self.trials]

    @property
    def accuracy(self) -> float:
        """Their mean."""
        return mean(self.accuracies)

    @property
    def spread(self) -> float:
        """Their standard deviation (of the sample); 0 for a single seed."""
        return stdev(self.accuracies) if len(self.trials) > 1 else 0.0


def climb(
    variants: Sequence[Variant],
    train: ImageSet,
    validation: ImageSet,
    *,
    seeds: Sequence[int],
    folder: str | Path,
    device: torch.device | str | None = None,
) -> list[Rung]:
    """Train each variant from each seed and measure it on the validation images.

    What was finished before is taken from the folder, as in `try_variants`.

    Raises:
        ValueError: no seeds, no variants, or two with the same title.
    """
    if not seeds:
        raise ValueError("There are no seeds; expected at least one, such as [0, 1].")
    by_seed = []
    for seed in seeds:
        print(f"seed {seed}")
        place = Path(folder, f"seed-{seed}")
        by_seed.append(
            try_variants(variants, train, validation, seed=seed, folder=place, device=device)
        )
    rungs = []
    for number, variant in enumerate(variants):
        model = variant.build_model()
        flops = count_training_flops(model) * len(train) * variant.recipe.epochs
        trials = tuple(trials[number] for trials in by_seed)
        rungs.append(Rung(variant.title, count_parameters(model), flops, trials))
    return rungs


def pooled_spread(rungs: Sequence[Rung]) -> float | None:
    """The standard deviation between seeds that all rungs share; None where all have one seed.

    Two or three seeds tell little about a single rung's spread, those of many rungs together more.
    """
    variances = [rung.spread**2 for rung in rungs if len(rung.trials) > 1]
    return mean(variances) ** 0.5 if variances else None


def verdict(gain: float, error: float | None) -> str:
    """ "helps", "harms", or "can't tell" where it may be noise, or comes from one seed."""
    if error is None or abs(gain) < CLEAR * error:
        return "can't tell"
    return "helps" if gain > 0 else "harms"


def ladder_table(rungs: Sequence[Rung], against: Rung | None = None) -> str:
    """A Markdown table: each rung's size, cost and accuracy, and what the step to it gained.

    Behind a gain stands its standard error, from the `pooled_spread`.

    Args:
        rungs: from the bottom.
        against: one rung that all are compared with; None for the one before each.

    Raises:
        ValueError: no rungs.
    """
    if not rungs:
        raise ValueError("There are no rungs to tabulate; climb gives them.")
    pooled = pooled_spread([*rungs, *([against] if against else [])])
    lines = [
        "| | parameters | training, TFLOPs | validation accuracy % | gain | |",
        "|---|---|---|---|---|---|",
    ]
    for number, rung in enumerate(rungs):
        before = against or (rungs[number - 1] if number else rung)
        change = result = ""
        if before is not rung:
            gain = rung.accuracy - before.accuracy
            error = None
            if pooled is not None:
                error = pooled * (1 / len(rung.trials) + 1 / len(before.trials)) ** 0.5
            change = f"{gain:+.2f}" + ("" if error is None else f" ± {error:.2f}")
            result = verdict(gain, error)
        spread = f" ± {rung.spread:.2f}" if len(rung.trials) > 1 else ""
        lines.append(
            f"| {rung.title} | {rung.parameters:,} | {rung.training_flops / 1e12:.1f} "
            f"| {rung.accuracy:.2f}{spread} | {change} | {result} |"
        )
    return "\n".join(lines)
