"""Every experiment of the coursework by name: a dataset, a model and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from torch import nn

from cifar_lab.data.augment import (
    ColorJitter,
    CutMix,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
)
from cifar_lab.data.cifar import CIFAR100_MEAN
from cifar_lab.models import build_model
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import unknown_name


@dataclass(frozen=True)
class Experiment:
    """A dataset, a model and a recipe under a name: one row of the coursework, or your own.

    Attributes:
        name: of the folder with its results.
        dataset: "cifar10", "cifar100" or "synthetic".
        model: a name in `cifar_lab.models.MODELS`, or whatever builds a model without arguments,
            such as a class of your own.
        recipe: how to train it.
        title: what tables and plots call it.
        reference: test accuracy in percent that the course reported after the last epoch.
        validation_fraction: share of the training images held out to watch and select by. With 0
            the test accuracy is watched after every epoch, as in assignment A: it selects nothing.
        watch_test: with False it is measured once, at the end.
    """

    name: str
    dataset: str
    model: str | Callable[[], nn.Module]
    recipe: Recipe
    title: str
    reference: float | None = None
    validation_fraction: float = 0.0
    watch_test: bool = True

    def build_model(self, num_classes: int) -> nn.Module:
        """A new model; one of the user's own says itself how many classes it has."""
        if isinstance(self.model, str):
            return build_model(self.model, num_classes)
        return self.model()


# Assignment A asks for more accuracy from the same training: three epochs of this, for every model.
ASSIGNMENT_A_RECIPE = Recipe(
    epochs=3,
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    precision="auto",
    channels_last=True,
)


def _assignment_a(model: str, title: str, reference: float) -> Experiment:
    return Experiment(f"cifar10-{model}", "cifar10", model, ASSIGNMENT_A_RECIPE, title, reference)


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
)
# A network this small learns too little by heart to need smoothing, and needs many steps.
FRONTIER_TINY_RECIPE = replace(
    FRONTIER_WIDE_RECIPE, batch_size=100, learning_rate=0.06, label_smoothing=0.0
)
# Longer, so it sees each image often enough for shifts to matter.
FRONTIER_94_RECIPE = replace(
    FRONTIER_WIDE_RECIPE.with_epochs(8),
    augment=(RandomCrop(padding=2, padding_mode="reflect"), RandomHorizontalFlip()),
)
# As many epochs as an hour of a T4 is estimated to allow, in round numbers: see `budget`. With so
# small an alpha a third of the boxes are next to nothing, and their images as good as plain.
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


def _frontier(name: str, recipe: Recipe) -> Experiment:
    title = f"Frontier, {name}"
    return Experiment(
        f"cifar10-frontier-{name}", "cifar10", f"frontier-{name}", recipe, title, watch_test=False
    )


_ROWS = [
    _assignment_a("mlp", "SimpleMLP", 42.35),
    _assignment_a("skeleton", "ConvNet, skeleton", 61.75),
    _assignment_a("convnet", "ConvNet, plain", 66.47),
    _assignment_a("resnet-small", "Bottleneck ResNet, small", 66.62),
    _assignment_a("resnet-wide", "Bottleneck ResNet, wide", 73.01),
    Experiment(
        "cifar100-tinynet",
        "cifar100",
        "tinynet",
        TINYNET_RECIPE,
        "TinyNet",
        3.37,
        validation_fraction=0.1,
    ),
    Experiment(
        "cifar100-smallcifarnet",
        "cifar100",
        "smallcifarnet",
        SMALLCIFARNET_RECIPE,
        "SmallCIFARNet",
        52.95,
        validation_fraction=0.1,
    ),
    _frontier("wide", FRONTIER_WIDE_RECIPE),
    _frontier("tiny", FRONTIER_TINY_RECIPE),
    _frontier("94", FRONTIER_94_RECIPE),
    Experiment(
        "cifar100-frontier",
        "cifar100",
        "frontier-100",
        FRONTIER_100_RECIPE,
        "Frontier, CIFAR-100",
        watch_test=False,
    ),
]
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ROWS}
# CIFAR-100's takes an hour of a GPU, the group of the others minutes: it goes by its own name.
_FRONTIER = tuple(name for name in EXPERIMENTS if name.startswith("cifar10-frontier-"))
_COURSE = tuple(name for name in EXPERIMENTS if "-frontier" not in name)
GROUPS: dict[str, tuple[str, ...]] = {
    "assignment-a": tuple(name for name in _COURSE if name.startswith("cifar10-")),
    "assignment-b": tuple(name for name in _COURSE if name.startswith("cifar100-")),
    "frontier": _FRONTIER,
}


def find_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        ValueError: there is none; the message offers the nearest names.
    """
    if name not in EXPERIMENTS:
        raise unknown_name("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def find_experiments(names: Iterable[str]) -> list[str]:
    """Names of experiments and of groups of them -> the experiments' names, each once.

    Raises:
        ValueError: a name is neither; the message offers the nearest.
    """
    found: list[str] = []
    for name in names:
        if name not in EXPERIMENTS and name not in GROUPS:
            raise unknown_name("experiment", name, [*EXPERIMENTS, *GROUPS])
        found.extend(GROUPS.get(name, (name,)))
    return list(dict.fromkeys(found))
