"""What each ingredient of an experiment is worth: the same training with one of them left out.

Variants are compared on validation images: choosing among them is selecting, and the test set
takes no part in that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from cifar_lab.data.image_set import ImageSet
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.layers.normalize import Normalize
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord
from cifar_lab.utils.seeding import seed_everything

EVERYTHING = "everything"
"""The title of the variant that nothing is left out of."""

# Settings that a recipe can do without: the field, its value when off, what it is called, and the
# heading of the discussion under which it belongs. Variants are compared by their last epoch, so
# `reestimate_norms`, which comes after it, is none of them.
INGREDIENTS: tuple[tuple[str, object, str, str], ...] = (
    ("schedule", "constant", "learning-rate schedule", "hyperparameters"),
    ("warmup_epochs", 0, "warm-up", "hyperparameters"),
    ("momentum", 0.0, "momentum", "optimizer"),
    ("weight_decay", 0.0, "weight decay", "regularisation"),
    ("gradient_clip", None, "gradient clipping", "optimizer"),
    ("label_smoothing", 0.0, "label smoothing", "regularisation"),
    ("ema_decay", None, "moving average of weights", "optimizer"),
    ("mix", None, "mixing of images", "regularisation"),
    ("unmixed_epochs", 0, "unmixed last epochs", "regularisation"),
)
# Settings that make no sense without another, and go with it.
GOES_WITH: dict[str, dict[str, object]] = {
    "momentum": {"nesterov": False},
    "mix": {"unmixed_epochs": 0},
}


@dataclass(frozen=True)
class Variant:
    """A model and a recipe under a title, to be compared with others.

    Attributes:
        title: what tables and plots call it.
        build_model: makes the model, with new initial weights.
        recipe: how to train it.
        heading: "architecture", "hyperparameters", "regularisation" or "optimizer", by what is
            left out; "" where that is nothing, or does not matter.
    """

    title: str
    build_model: Callable[[], nn.Module]
    recipe: Recipe
    heading: str = ""


@dataclass(frozen=True)
class Trial:
    """What became of a variant.

    Attributes:
        title: the variant's.
        heading: the variant's.
        dataset: trained and measured on.
        recipe: how it was trained.
        history: one record an epoch, with the accuracy on the validation images.
        validation_images: how many there were.
    """

    title: str
    heading: str
    dataset: str
    recipe: Recipe
    history: list[EpochRecord]
    validation_images: int

    @property
    def accuracy(self) -> float:
        """Validation accuracy in percent after the last epoch."""
        accuracy = self.history[-1].validation_accuracy
        assert accuracy is not None  # `try_variants` always has validation images
        return accuracy


def leave_one_out(experiment: Experiment, num_classes: int) -> list[Variant]:
    """The experiment with everything, and then without each of its ingredients in turn.

    An ingredient is a setting of the recipe that is not off, a transform of its augmentation, or
    dropout or normalisation in the model.
    """
    recipe = experiment.recipe
    build = partial(experiment.build_model, num_classes)
    variants = [Variant(EVERYTHING, build, recipe)]
    for part, remove, title, heading in (
        (Normalize, _stop_normalizing, "no input normalisation", "architecture"),
        (_DropoutNd, _stop_dropping, "no dropout", "regularisation"),
    ):
        if any(isinstance(module, part) for module in build().modules()):
            variants.append(Variant(title, partial(_changed, build, remove), recipe, heading))
    for place, transform in enumerate(recipe.augment):
        others = recipe.augment[:place] + recipe.augment[place + 1 :]
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(transform).__name__).lower()
        without = replace(recipe, augment=others)
        variants.append(Variant(f"no {name}", build, without, "regularisation"))
    for field, off, name, heading in INGREDIENTS:
        if getattr(recipe, field) != off:
            changes = {field: off} | GOES_WITH.get(field, {})
            without = replace(recipe, **changes)  # type: ignore[arg-type]
            variants.append(Variant(f"no {name}", build, without, heading))
    return variants


def _changed(build: Callable[[], nn.Module], change: Callable[[nn.Module], None]) -> nn.Module:
    model = build()
    for module in model.modules():
        change(module)
    return model


def _stop_normalizing(module: nn.Module) -> None:
    if isinstance(module, Normalize):
        module.mean.zero_()
        module.std.fill_(1)


def _stop_dropping(module: nn.Module) -> None:
    if isinstance(module, _DropoutNd):
        module.p = 0.0


def try_variants(
    variants: Iterable[Variant],
    train: ImageSet,
    validation: ImageSet,
    *,
    seed: int,
    folder: str | Path,
    device: torch.device | str | None = None,
) -> list[Trial]:
    """Train each variant from the same seed and measure it on the validation images.

    Args:
        variants: each with a title of its own.
        train: images to train on.
        validation: images to compare by.
        seed: of the initial weights, the order of the images, augmentation and dropout.
        folder: gets a checkpoint a variant. Whoever calls this again gets the finished ones from
            there at once, and the others go on where they stopped; a variant with another model
            or recipe than before starts anew.
        device: None for the best there is.

    Raises:
        LeakedTestImagesError: the validation or training images are test images.
        ValueError: no variants, or two with the same title; a checkpoint in the folder is damaged,
            or of other images or another seed.
    """
    variants = list(variants)
    titles = [variant.title for variant in variants]
    if not titles or len(set(titles)) < len(titles):
        raise ValueError(f"The variants' titles are {titles}; expected one or more, all different.")
    trials = []
    for variant in variants:
        # All get the same number of epochs, and are compared by the last.
        recipe = replace(variant.recipe, patience=None, keep_best=False)
        seed_everything(seed)
        model = variant.build_model()
        settings = json.dumps([recipe.settings(), architecture_digest(model)], sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        history = fit(
            model,
            train,
            recipe,
            validation=validation,
            seed=seed,
            device=device,
            checkpoint=Path(folder, f"{variant.title.replace(' ', '-')}-{digest}.pt"),
            resume=True,
            progress=False,
        )
        trial = Trial(
            variant.title, variant.heading, train.dataset, recipe, history, len(validation)
        )
        seconds = sum(record.seconds for record in history)
        print(f"{trial.title:30} validation accuracy {trial.accuracy:5.2f} %  {seconds:5.0f} s")
        trials.append(trial)
    return trials


def ablation_table(trials: Sequence[Trial]) -> str:
    """A Markdown table: each variant's validation accuracy, and its difference from the first.

    Beside it stands the standard error of one accuracy by the number of validation images; runs
    from other seeds differ by more than that.

    Raises:
        ValueError: no trials.
    """
    if not trials:
        raise ValueError("There are no trials to tabulate; try_variants gives them.")
    first = trials[0]
    lines = ["| variant | train loss | validation accuracy % | difference |", "|---|---|---|---|"]
    for trial in trials:
        share = trial.accuracy / 100
        error = 100 * (share * (1 - share) / trial.validation_images) ** 0.5
        difference = "" if trial is first else f"{trial.accuracy - first.accuracy:+.2f}"
        lines.append(
            f"| {trial.title} | {trial.history[-1].train_loss:.4f} | {trial.accuracy:.2f} ± "
            f"{error:.2f} | {difference} |"
        )
    return "\n".join(lines)
