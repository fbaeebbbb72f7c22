"""What the pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cifar_lab.experiments.published import Measured
from cifar_lab.training.state import EpochRecord

PERCENT = "test accuracy (%)"


class Curve(Protocol):
    """What has a learning curve: a `Result`, or a `Trial` of an ablation."""

    @property
    def title(self) -> str:
        """What the legend calls it."""

    @property
    def dataset(self) -> str:
        """Where its figures come from."""

    @property
    def history(self) -> list[EpochRecord]:
        """One record an epoch."""


def dataset_title(results: Sequence[Curve | Measured]) -> str:
    """What a picture says above itself: a warning where figures are of the stand-in, else ""."""
    datasets = {result.dataset for result in results}
    return "SYNTHETIC stand-in, not CIFAR" if "synthetic" in datasets else ""
