"""Every experiment of the coursework by name: a dataset, a model and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from cifar_lab.data.augment import (
    ColorJitter,
    CutMix,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
)
from cifar_lab.data.cifar import CIFAR100_MEAN
from cifar_lab.experiments.facts import FACTS, GROUPS
from cifar_lab.models import build_model
from cifar_lab.models.custom import built, refuse_built
from cifar_lab.models.views import check_views
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import unknown_name


@dataclass(frozen=True)
class Experiment:
    """A dataset, a model and a recipe under a name: one row of the coursework, or a custom one.

    Attributes:
        name: The name of the folder with its results.
        dataset: The dataset's name: "cifar10", "cifar100" or "synthetic".
        model: A name in `cifar_lab.models.MODELS`, or a function or class that builds a model
            without arguments.
        recipe: The recipe that the model is trained by.
        title: The name in tables and plots.
        reference: The test accuracy in percent that the course reported after the last epoch.
        validation_fraction: The share of the training images held out to watch and select by. With
            0 the test accuracy is watched after every epoch, as in assignment A: it selects
            nothing.
        watch_test: Whether the test accuracy is watched; with False it is measured once, at the
            end.
        views: "single"; or "mirror" or "six": at the end, the test accuracy with so many views of
            each image is measured too, as in `test_accuracy`, and stands in tables beside that of
            single views. A run that was finished without stays without.

    Raises:
        TypeError: The model is a network, not what builds it.
        ValueError: There are no views of that name.

    Example:
        >>> import cifar_lab as lab
        >>> from torch import nn
        >>> def my_net():
        ...     return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="adam", learning_rate=1e-3)
        >>> mine = lab.Experiment("mine", "synthetic", my_net, recipe, "My network")
        >>> result = lab.run(mine, out=None, progress=False)
        >>> result.title, result.parameters, len(result.history)
        ('My network', 30730, 1)
    """

    name: str
    dataset: str
    model: str | Callable[[], nn.Module]
    recipe: Recipe
    title: str
    reference: float | None = None
    validation_fraction: float = 0.0
    watch_test: bool = True
    views: str = "single"

    def __post_init__(self) -> None:
        refuse_built(self.model)
        check_views(self.views)

    def build_model(self, num_classes: int) -> nn.Module:
        """Return a new model; a custom one says itself how many classes it has.

        Raises:
            TypeError: The function returned something else than a network.
        """
        if isinstance(self.model, str):
            return build_model(self.model, num_classes)
        return built(self.model)


# Assignment A asks for more accuracy from the same training: three epochs of this, for every model.
ASSIGNMENT_A_RECIPE = Recipe(
    epochs=3,
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    precision="auto",
    channels_last=True,
)


# Assignment B's starting point: SGD at its default learning rate, without momentum.
TINYNET_RECIPE = Recipe(
    epochs=10,
    batch_size=32,
    optimizer="sgd",
    learning_rate=1e-3,
    precision="auto",
    channels_last=True,
)

# Assignment B's answer. Images are in [0, 1] here, so the mean colour is what erasing with zero
# after normalisation comes to.
SMALLCIFARNET_RECIPE = Recipe(
    epochs=50,
    batch_size=128,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=5e-4,
    schedule="cosine",
    schedule_per="epoch",
    warmup_epochs=5,
    label_smoothing=0.1,
    gradient_clip=1.0,
    ema_decay=0.995,
    keep_best=True,
    patience=10,
    augment=(
        RandomCrop(padding=4),
        RandomHorizontalFlip(),
        ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
        RandomErasing(p=0.25, value=CIFAR100_MEAN),
    ),
    precision="auto",
    channels_last=True,
)

# The frontier: chosen on a hold-out of the training images.
FRONTIER_WIDE_RECIPE = Recipe(
    epochs=3,
    batch_size=250,
    optimizer="muon",
    learning_rate=0.08,
    other_learning_rate=0.1,
    momentum=0.85,
    schedule="one-cycle",
    label_smoothing=0.1,
    augment=(RandomHorizontalFlip(),),
    precision="auto",
    channels_last=True,
    bias_learning_rate=3.0,
)
# A network this small overfits too little to need smoothing, and needs many steps.
FRONTIER_TINY_RECIPE = replace(
    FRONTIER_WIDE_RECIPE,
    batch_size=100,
    learning_rate=0.06,
    label_smoothing=0.0,
)
# Longer, so it sees each image often enough for shifts to matter.
FRONTIER_94_RECIPE = replace(
    FRONTIER_WIDE_RECIPE.with_epochs(8),
    bias_learning_rate=None,
    augment=(RandomCrop(padding=2, padding_mode="reflect"), RandomHorizontalFlip()),
)
# As many epochs as an hour of a T4 is estimated to allow, in round numbers: see `budget`. With so
# small an alpha a third of the boxes are next to nothing, and their images as good as unmixed.
FRONTIER_100_RECIPE = Recipe(
    epochs=1000,
    batch_size=125,
    optimizer="muon",
    learning_rate=0.02,
    other_learning_rate=0.1,
    momentum=0.9,
    schedule="cosine",
    label_smoothing=0.1,
    ema_decay=0.995,
    augment=(RandomCrop(padding=4), RandomHorizontalFlip()),
    mix=CutMix(alpha=0.2),
    precision="auto",
    channels_last=True,
    unmixed_epochs=100,
    reestimate_norms=True,
)


def _row(name: str, model: str, recipe: Recipe, **options: Any) -> Experiment:
    """Return the experiment whose facts have this name."""
    facts = FACTS[name]
    return Experiment(
        name, facts.dataset, model, recipe, facts.title, reference=facts.reference, **options
    )


# The test set is used once, at the end, also by six views, as for records elsewhere.
MEASURED_ONCE: dict[str, Any] = {"watch_test": False, "views": "six"}

# A new experiment is a row here, and one in `facts`.
_ROWS = [
    _row("cifar10-mlp", "mlp", ASSIGNMENT_A_RECIPE),
    _row("cifar10-skeleton", "skeleton", ASSIGNMENT_A_RECIPE),
    _row("cifar10-convnet", "convnet", ASSIGNMENT_A_RECIPE),
    _row("cifar10-resnet-small", "resnet-small", ASSIGNMENT_A_RECIPE),
    _row("cifar10-resnet-wide", "resnet-wide", ASSIGNMENT_A_RECIPE),
    _row("cifar100-tinynet", "tinynet", TINYNET_RECIPE, validation_fraction=0.1),
    _row("cifar100-smallcifarnet", "smallcifarnet", SMALLCIFARNET_RECIPE, validation_fraction=0.1),
    _row("cifar10-frontier-wide", "frontier-wide-mirrored", FRONTIER_WIDE_RECIPE, **MEASURED_ONCE),
    _row("cifar10-frontier-tiny", "frontier-tiny-mirrored", FRONTIER_TINY_RECIPE, **MEASURED_ONCE),
    _row("cifar10-frontier-94", "frontier-94", FRONTIER_94_RECIPE, **MEASURED_ONCE),
    _row("cifar100-frontier", "frontier-100", FRONTIER_100_RECIPE, **MEASURED_ONCE),
]
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ROWS}


def find_experiment(name: str) -> Experiment:
    """Return the experiment of that name.

    Raises:
        ValueError: There is none; the message offers the nearest names.
    """
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def find_experiments(
    names: Iterable[str], known: Collection[str] = tuple(EXPERIMENTS)
) -> list[str]:
    """Return the experiments' names, each once, for names of experiments and of groups of them.

    Args:
        names: Names to look up.
        known: Names that are experiments; by default those of the catalogue.

    Raises:
        ValueError: A name is neither; the message offers the nearest.
    """
    found: list[str] = []
    for name in names:
        if name not in known and name not in GROUPS:
            raise unknown_name("experiment", name, [*known, *GROUPS])
        found.extend(GROUPS.get(name, (name,)))
    return list(dict.fromkeys(found))
