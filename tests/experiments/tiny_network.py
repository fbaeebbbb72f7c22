"""A network in a file of its own, and experiments that end at once or fail."""

from __future__ import annotations

import time
from pathlib import Path

from torch import nn

from cifar_lab.data.augment import RandomHorizontalFlip
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.training.recipe import Recipe

RECIPE = Recipe(
    epochs=1,
    batch_size=1000,
    optimizer="adam",
    learning_rate=1e-3,
    augment=(RandomHorizontalFlip(),),
    precision="fp32",
)


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))


def without_end() -> nn.Module:
    raise ValueError("this network has no layers")


class Waits:
    """A network whose training waits in the third epoch until there is a file.

    Args:
        marker: The file.
    """

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __call__(self) -> nn.Module:
        return Waiting(self.marker)


class Waiting(nn.Module):
    """A linear network that notes its third epoch, and waits there."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker
        self.layers = linear()
        self.steps = 0

    def forward(self, images):  # type: ignore[no-untyped-def]
        self.steps += self.training
        marker = Path(self.marker)
        while self.steps > 25 and not marker.exists():
            Path(f"{marker}-reached").touch()
            time.sleep(0.05)
        return self.layers(images)


TINY = Experiment("tiny", "synthetic", linear, RECIPE, "Tiny")
FAILS = Experiment("fails", "synthetic", without_end, RECIPE, "Fails")


def waits(marker: Path) -> Experiment:
    """Return an experiment of three epochs."""
    return Experiment("waits", "synthetic", Waits(marker), RECIPE.with_epochs(3), "Waits")
