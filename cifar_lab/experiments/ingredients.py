"""Experiments without one of their ingredients, as variants to compare."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from cifar_lab.data.augment.common import Transform
from cifar_lab.data.augment.custom import Custom
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.experiments.variants import Variant
from cifar_lab.models.layers.normalize import Normalize

EVERYTHING = "everything"
"""The title of the variant that nothing is left out of."""

# Settings that a recipe can do without: the field, its value when off, what it is called, and the
# heading of the discussion under which it belongs. Variants are compared by their last epoch, so
# `reestimate_norms`, which comes after it, is not among them.
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
# Settings that make no sense without another, and are switched off with it.
GOES_WITH: dict[str, dict[str, object]] = {
    "momentum": {"nesterov": False},
    "mix": {"unmixed_epochs": 0},
}


def leave_one_out(experiment: Experiment, num_classes: int) -> list[Variant]:
    """Return the experiment with everything, and then without each of its ingredients in turn.

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
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _name_of(transform)).lower()
        without = replace(recipe, augment=others)
        variants.append(Variant(f"no {name}", build, without, "regularisation"))
    for field, off, name, heading in INGREDIENTS:
        if getattr(recipe, field) != off:
            changes = {field: off} | GOES_WITH.get(field, {})
            without = replace(recipe, **changes)  # type: ignore[arg-type]
            variants.append(Variant(f"no {name}", build, without, heading))
    return variants


def _name_of(transform: Transform) -> str:
    """Return the name of a transform's class; that of a custom function."""
    if not isinstance(transform, Custom):
        return type(transform).__name__
    return transform.text.rpartition(".")[2] if transform.name == "function" else transform.name


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
