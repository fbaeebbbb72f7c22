"""Parts that the plots share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cifar_lab.experiments.published import Published
from cifar_lab.training.state import EpochRecord

PERCENT = "test accuracy (%)"


class Curve(Protocol):
    """Anything with a learning curve: a `Result`, or a `Trial` of a variant."""

    @property
    def title(self) -> str:
        """The name in the legend."""

    @property
    def dataset(self) -> str:
        """The dataset that its figures are of."""

    @property
    def history(self) -> list[EpochRecord]:
        """One record per epoch."""


def dataset_title(results: Sequence[Curve | Published]) -> str:
    """Return the text above a plot: a warning where figures are of the synthetic dataset."""
    datasets = {result.dataset for result in results}
    return "SYNTHETIC dataset, not CIFAR" if "synthetic" in datasets else ""
