"""Variants of an experiment, compared on validation images over one or several seeds.

Choosing among variants is a form of selection, so the test set takes no part in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.comparison_checkpoints import ComparisonCheckpoints
from cifar_lab.experiments.comparison_log import ComparisonLog
from cifar_lab.experiments.trials import (
    CLEAR,
    Gain,
    Trial,
    gains,
    load_trials,
    pooled_spread,
    save_trials,
)
from cifar_lab.models.counting import (
    count_parameters,
    count_training_flops,
)
from cifar_lab.models.custom import built, refuse_built
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.loop import fit
from cifar_lab.training.progress import Callback
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.files import user_path
from cifar_lab.utils.seeding import seed_everything

__all__ = [
    "CLEAR",
    "Gain",
    "Trial",
    "Variant",
    "compare_variants",
    "gains",
    "load_trials",
    "pooled_spread",
    "save_trials",
]


@dataclass(frozen=True)
class Variant:
    """A model and a recipe under a title, to be compared with others.

    Attributes:
        title: Names the variant in tables and plots.
        build_model: Builds the model, with new initial weights.
        recipe: How to train it.
        heading: "architecture", "hyperparameters", "regularisation" or "optimizer", depending on
            what is left out; "" where that does not matter.

    Raises:
        TypeError: `build_model` is a network, not what builds it.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="sgd", learning_rate=0.1)
        >>> lab.Variant("MLP", lambda: lab.build_model("mlp"), recipe).title
        'MLP'
    """

    title: str
    build_model: Callable[[], nn.Module]
    recipe: Recipe
    heading: str = ""

    def __post_init__(self) -> None:
        refuse_built(self.build_model, "build_model")


def compare_variants(
    variants: Iterable[Variant],
    train: ImageSet,
    validation: ImageSet,
    *,
    seeds: Iterable[int] = (0,),
    folder: str | Path,
    backup: str | Path | None = None,
    device: torch.device | str | None = None,
    callback: Callback | None = None,
) -> list[Trial]:
    """Train each variant from each seed and measure it on the validation images.

    A line is printed after each run, with an estimate of the time left.

    Args:
        variants: Variants with different titles.
        train: Images to train on.
        validation: Images to compare the variants on.
        seeds: Each seeds the initial weights, shuffling, augmentation and dropout of one run.
        folder: Gets a checkpoint for each run. A later call takes finished runs from there and
            resumes interrupted ones; a variant whose model or recipe has changed is trained from
            scratch.
        backup: Existing folder (on Google Drive, say) that gets a copy of each checkpoint, in a
            folder with the name of `folder`, and from which those are taken that `folder` lacks, or
            has with fewer epochs. If it fails later, a line says so, and the comparison goes on.
        device: Device to train on; None for the best available.
        callback: Is called with a `Progress` after each epoch, whose title is the variant's.

    Raises:
        LeakedTestImagesError: The validation or training images are test images.
        FileNotFoundError: The folder for backups does not exist.
        OSError: It can't be read, or `folder` can't be written.
        ValueError: No variants or two with the same title; no seeds or one twice; a checkpoint in
            the folder is damaged, or is of other images or another seed.

    Example:
        >>> import cifar_lab as lab
        >>> train, validation = lab.split(lab.load("synthetic").train, seed=0)
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="adam", learning_rate=1e-3)
        >>> trials = lab.variants.compare_variants(
        ...     [lab.Variant(name, lambda: lab.build_model("mlp"), recipe) for name in ("a", "b")],
        ...     train, validation, seeds=[0, 1], folder="runs/comparison",
        ... )  # doctest: +ELLIPSIS
        [1/4] a  seed 0: validation accuracy ... %, ... s; about ... left
        [2/4] b  seed 0: validation accuracy ... %, ... s; about ... left
        [3/4] a  seed 1: validation accuracy ... %, ... s; about ... left
        [4/4] b  seed 1: validation accuracy ... %, ... s
        >>> [len(trial.accuracies) for trial in trials]
        [2, 2]
    """
    variants, seeds = _checked(variants, seeds)
    folder = user_path(folder)
    checkpoints = ComparisonCheckpoints(folder, backup, train, validation)
    trials = {each.title: _trial(each, train, validation) for each in variants}
    log = ComparisonLog(list(trials.values()), len(seeds))
    try:
        for seed in seeds:
            for variant in variants:
                trial = trials[variant.title]
                seed_everything(seed)
                model = built(variant.build_model)
                name = checkpoints.find(
                    variant.title, variant.recipe, model, seed=seed, seeds=len(seeds)
                )
                trained: list[EpochRecord] = []
                start = time.perf_counter()
                trial.histories[seed] = fit(
                    model,
                    train,
                    variant.recipe,
                    validation=validation,
                    seed=seed,
                    device=device,
                    checkpoint=checkpoints.folder / name,
                    resume=True,
                    on_epoch=partial(_after_epoch, trained, checkpoints, name),
                    progress=False,
                    callback=callback,
                    title=variant.title,
                )
                checkpoints.complete()
                log.add(trial, seed, epochs=len(trained), seconds=time.perf_counter() - start)
    finally:
        checkpoints.finish()
    return list(trials.values())


def _checked(variants: Iterable[Variant], seeds: Iterable[int]) -> tuple[list[Variant], list[int]]:
    """Return the variants as they are compared, and the seeds.

    All variants train for their whole number of epochs, and are compared by the last.
    """
    variants, seeds = list(variants), list(seeds)
    titles = [variant.title for variant in variants]
    if not titles or len(set(titles)) < len(titles):
        raise ValueError(f"The variants' titles are {titles}; expected one or more, all different.")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {seeds}; expected one or more, all different.")
    recipes = [replace(each.recipe, patience=None, keep_best=False) for each in variants]
    pairs = zip(variants, recipes, strict=True)
    return [replace(variant, recipe=recipe) for variant, recipe in pairs], seeds


def _after_epoch(
    trained: list[EpochRecord], checkpoints: ComparisonCheckpoints, name: Path, record: EpochRecord
) -> None:
    trained.append(record)
    checkpoints.back_up(name)


def _trial(variant: Variant, train: ImageSet, validation: ImageSet) -> Trial:
    """Return a variant's trial before its runs."""
    model = built(variant.build_model)
    return Trial(
        title=variant.title,
        heading=variant.heading,
        dataset=train.dataset,
        recipe=variant.recipe,
        parameters=count_parameters(model),
        training_flops=count_training_flops(model) * len(train) * variant.recipe.epochs,
        validation_images=len(validation),
        histories={},
    )
