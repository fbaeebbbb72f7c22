"""Variants of an experiment, compared on validation images over one or several seeds.

Choosing among variants is a form of selection, so the test set takes no part in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.models.counting import (
    architecture_digest,
    count_parameters,
    count_training_flops,
)
from cifar_lab.models.former import former_digests
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord
from cifar_lab.utils.seeding import seed_everything
from cifar_lab.utils.statistics import sample_spread

CLEAR = 2.0  # standard errors above which a difference is more than noise


@dataclass(frozen=True)
class Variant:
    """A model and a recipe under a title, to be compared with others.

    Attributes:
        title: Names the variant in tables and plots.
        build_model: Builds the model, with new initial weights.
        recipe: How to train it.
        heading: "architecture", "hyperparameters", "regularisation" or "optimizer", depending on
            what is left out; "" where that does not matter.
    """

    title: str
    build_model: Callable[[], nn.Module]
    recipe: Recipe
    heading: str = ""


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
    histories: dict[int, list[EpochRecord]]

    @property
    def history(self) -> list[EpochRecord]:
        """The first seed's records, one per epoch."""
        return next(iter(self.histories.values()))

    @property
    def accuracies(self) -> list[float]:
        """Validation accuracies in percent after the last epoch, one per seed."""
        return [_last_accuracy(history) for history in self.histories.values()]

    @property
    def accuracy(self) -> float:
        """The mean of the accuracies."""
        return mean(self.accuracies)

    @property
    def spread(self) -> float:
        """The standard deviation between seeds (of the sample); 0 for a single seed."""
        return sample_spread(self.accuracies)


def _last_accuracy(history: Sequence[EpochRecord]) -> float:
    accuracy = history[-1].validation_accuracy
    assert accuracy is not None  # `compare_variants` always has validation images
    return accuracy


def compare_variants(
    variants: Iterable[Variant],
    train: ImageSet,
    validation: ImageSet,
    *,
    seeds: Iterable[int] = (0,),
    folder: str | Path,
    device: torch.device | str | None = None,
) -> list[Trial]:
    """Train each variant from each seed and measure it on the validation images.

    Args:
        variants: Variants with different titles.
        train: Images to train on.
        validation: Images to compare the variants on.
        seeds: Each seeds the initial weights, shuffling, augmentation and dropout of one run.
        folder: Gets a checkpoint for each run. A later call takes finished runs from there and
            resumes interrupted ones; a variant whose model or recipe has changed is trained from
            scratch.
        device: Device to train on; None for the best available.

    Raises:
        LeakedTestImagesError: The validation or training images are test images.
        ValueError: No variants or two with the same title; no seeds or one twice; a checkpoint in
            the folder is damaged, or is of other images or another seed.
    """
    variants, seeds = list(variants), list(seeds)
    titles = [variant.title for variant in variants]
    if not titles or len(set(titles)) < len(titles):
        raise ValueError(f"The variants' titles are {titles}; expected one or more, all different.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {seeds}; expected one or more, all different.")
    # All variants train for their whole number of epochs, and are compared by the last.
    variants = [
        replace(each, recipe=replace(each.recipe, patience=None, keep_best=False))
        for each in variants
    ]
    histories: dict[str, dict[int, list[EpochRecord]]] = {title: {} for title in titles}
    for seed in seeds:
        for variant in variants:
            seed_everything(seed)
            model = variant.build_model()
            histories[variant.title][seed] = history = fit(
                model,
                train,
                variant.recipe,
                validation=validation,
                seed=seed,
                device=device,
                checkpoint=_checkpoint(Path(folder), variant, model, seed, len(seeds)),
                resume=True,
                progress=False,
            )
            print(
                f"{variant.title:36} seed {seed}: validation accuracy "
                f"{_last_accuracy(history):5.2f} %, {sum(each.seconds for each in history):5.0f} s"
            )
    return [_trial(each, train, validation, histories[each.title]) for each in variants]


def _checkpoint(folder: Path, variant: Variant, model: nn.Module, seed: int, seeds: int) -> Path:
    architecture = architecture_digest(model)
    present, *former = (
        _file_name(variant, one) for one in (architecture, *former_digests(architecture))
    )
    # Earlier versions kept the checkpoints of a single seed in the folder itself.
    places = [folder / f"seed-{seed}", *([folder] if seeds == 1 else [])]
    found = (place / name for name in (present, *former) for place in places)
    return next((path for path in found if path.exists()), places[0] / present)


def _file_name(variant: Variant, architecture: str) -> str:
    settings = json.dumps([variant.recipe.settings(), architecture], sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
    return f"{variant.title.replace(' ', '-')}-{digest}.pt"


def _trial(
    variant: Variant,
    train: ImageSet,
    validation: ImageSet,
    histories: dict[int, list[EpochRecord]],
) -> Trial:
    model = variant.build_model()
    return Trial(
        title=variant.title,
        heading=variant.heading,
        dataset=train.dataset,
        recipe=variant.recipe,
        parameters=count_parameters(model),
        training_flops=count_training_flops(model) * len(train) * variant.recipe.epochs,
        validation_images=len(validation),
        histories=histories,
    )


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
        error: The standard error of the points, from the pooled spread; None where that is unknown.
    """

    trial: Trial
    points: float
    error: float | None

    @property
    def verdict(self) -> str:
        """One of "helps", "harms" and "can't tell": the last for noise, and for single seeds."""
        if self.error is None or abs(self.points) <= CLEAR * self.error:
            return "can't tell"
        return "helps" if self.points > 0 else "harms"


def gains(
    trials: Sequence[Trial], against: Trial | None = None, spread: float | None = None
) -> list[Gain]:
    """Return the gain of each trial over the one before it, or over one particular trial.

    Args:
        trials: Trials in the order in which they are compared.
        against: The trial that all are compared with; None for the one before each.
        spread: Standard deviation between seeds; None for the `pooled_spread` of these trials.
    """
    if spread is None:
        spread = pooled_spread([*trials, *([against] if against else [])])
    before = [against] * len(trials) if against else [None, *trials[:-1]]
    found = []
    for start, end in zip(before, trials, strict=True):
        if start is None or start is end:
            continue
        error = None
        if spread is not None:
            error = spread * (1 / len(start.histories) + 1 / len(end.histories)) ** 0.5
        found.append(Gain(end, end.accuracy - start.accuracy, error))
    return found
