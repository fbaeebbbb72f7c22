"""A ladder of variants, one change at a time, each trained from several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import torch

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.ablation import Trial, Variant, try_variants
from cifar_lab.models.counting import count_parameters, count_training_flops

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
        ValueError: no seeds or one twice, no variants or two with the same title.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {list(seeds)}; expected one or more, all different.")
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


@dataclass(frozen=True)
class Step:
    """The way from one rung to another.

    Attributes:
        rung: where it leads.
        gain: points of validation accuracy.
        error: the gain's standard error, from the pooled spread; None where all have one seed.
    """

    rung: Rung
    gain: float
    error: float | None

    @property
    def verdict(self) -> str:
        """ "helps", "harms", or "can't tell" where it may be noise, or comes from one seed."""
        if self.error is None or abs(self.gain) <= CLEAR * self.error:
            return "can't tell"
        return "helps" if self.gain > 0 else "harms"


def steps(
    rungs: Sequence[Rung], against: Rung | None = None, spread: float | None = None
) -> list[Step]:
    """The step to each rung from the one before it, or from one rung to all the others.

    Args:
        rungs: from the bottom.
        against: one rung that all are compared with; None for the one before each.
        spread: standard deviation between seeds; None for the `pooled_spread` of these rungs.
    """
    pooled = spread or pooled_spread([*rungs, *([against] if against else [])])
    before = [against] * len(rungs) if against else [None, *rungs[:-1]]
    found = []
    for start, end in zip(before, rungs, strict=True):
        if start is None or start is end:
            continue
        error = None
        if pooled is not None:
            error = pooled * (1 / len(start.trials) + 1 / len(end.trials)) ** 0.5
        found.append(Step(end, end.accuracy - start.accuracy, error))
    return found


def ladder_table(
    rungs: Sequence[Rung], against: Rung | None = None, spread: float | None = None
) -> str:
    """A Markdown table: each rung's size, cost and accuracy, and what the step to it gained.

    The arguments are those of `steps`.

    Raises:
        ValueError: no rungs.
    """
    if not rungs:
        raise ValueError("There are no rungs to tabulate; climb gives them.")
    by_title = {step.rung.title: step for step in steps(rungs, against, spread)}
    lines = [
        "| | parameters | training, TFLOPs | validation accuracy % | gain | |",
        "|---|---|---|---|---|---|",
    ]
    for rung in rungs:
        gain = verdict = ""
        if rung.title in by_title:
            step = by_title[rung.title]
            gain = f"{step.gain:+.2f}" + ("" if step.error is None else f" ± {step.error:.2f}")
            verdict = step.verdict
        between = f" ± {rung.spread:.2f}" if len(rung.trials) > 1 else ""
        lines.append(
            f"| {rung.title} | {rung.parameters:,} | {rung.training_flops / 1e12:.1f} "
            f"| {rung.accuracy:.2f}{between} | {gain} | {verdict} |"
        )
    return "\n".join(lines)


def verdicts(
    rungs: Sequence[Rung], against: Rung | None = None, spread: float | None = None
) -> str:
    """Which steps helped, which did not, and of which the figures can't tell, in Markdown."""
    groups: dict[str, list[str]] = {"helps": [], "harms": [], "can't tell": []}
    for step in steps(rungs, against, spread):
        groups[step.verdict].append(f"{step.rung.title} ({step.gain:+.2f})")
    titles = {"helps": "Helped", "harms": "Did harm", "can't tell": "Not told apart from luck"}
    return "\n".join(
        f"- **{titles[name]}:** {', '.join(group) or 'none'}." for name, group in groups.items()
    )
