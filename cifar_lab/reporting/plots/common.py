"""Parts that the plots share: the curves in whatever is given, and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.recipe import Recipe

PERCENT = "test accuracy (%)"


class OfDataset(Protocol):
    """Anything with figures of a dataset: a `Result`, a `Trial`, published figures."""

    @property
    def dataset(self) -> str:
        """The dataset that its figures are of."""


def dataset_title(results: Sequence[OfDataset]) -> str:
    """Return the text above a plot: a warning where figures are of the synthetic dataset."""
    datasets = {result.dataset for result in results}
    return "SYNTHETIC dataset, not CIFAR" if "synthetic" in datasets else ""


@dataclass(frozen=True)
class Curve:
    """A learning curve.

    Attributes:
        title: The network's title, which decides the colour.
        label: The text in the legend: the title; for one of several runs with that title, its
            name in the dict that it came in, or its seed.
        history: The records, one per epoch.
        recipe: The recipe; None where a history alone is given.
        dataset: The dataset; "" where it is unknown.
    """

    title: str
    label: str
    history: Sequence[EpochRecord]
    recipe: Recipe | None = None
    dataset: str = ""

    @property
    def is_validated(self) -> bool:
        """Whether there were validation images."""
        return self.history[0].validation_accuracy is not None

    @property
    def kind(self) -> str:
        """The images that its accuracies are of: "validation", or else "test"."""
        return "validation" if self.is_validated else "test"

    @property
    def epochs(self) -> list[int]:
        """The numbers of its epochs."""
        return [record.epoch for record in self.history]

    @property
    def accuracies(self) -> np.ndarray:
        """The accuracy after each epoch, NaN where it was not measured."""
        name = f"{self.kind}_accuracy"
        return np.array([getattr(record, name) for record in self.history], dtype=float)

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the best validation accuracy; None without validation images."""
        if not self.is_validated:
            return None
        return max(self.history, key=lambda record: record.validation_accuracy or 0.0)

    @property
    def mixing_ends(self) -> float | None:
        """The place between the last epoch with mixed images and the first without."""
        if self.recipe is None or not self.recipe.unmixed_epochs:
            return None
        last = self.recipe.epochs - self.recipe.unmixed_epochs
        return last + 0.5 if 0 < last < self.epochs[-1] else None


def curves_in(runs: Any) -> list[Curve]:
    """Return the learning curves in a history, a `Result`, a `Trial`, or a list or dict of these.

    Raises:
        TypeError: There is something else among them.
        ValueError: There is none, or one without epochs.
    """
    curves = list(_curves(runs, ""))
    if not curves:
        raise ValueError("There are no curves to plot; give what fit or run returned.")
    counts = Counter(curve.title for curve in curves)
    seen: set[str] = set()
    for place, curve in enumerate(curves):
        if counts[curve.title] == 1:
            curves[place] = replace(curve, label=curve.title)
        elif curve.title in seen:  # a network's first run has the network's colour
            curves[place] = replace(curve, title=curve.label)
        seen.add(curve.title)
    return curves


def _curves(runs: Any, name: str) -> Iterator[Curve]:
    """Yield the curves; the name is a dict's key, for histories, which have no title."""
    if isinstance(runs, Mapping):
        for key, each in runs.items():
            yield from _curves(each, str(key))
    elif isinstance(runs, list | tuple) and not _is_history(runs):
        for number, each in enumerate(runs, 1):
            yield from _curves(each, f"{name or 'run'} {number}" if _is_history(each) else "")
    else:
        yield _curve(runs, name)


def _is_history(runs: Any) -> bool:
    return isinstance(runs, History) or (
        isinstance(runs, list | tuple)
        and bool(runs)
        and all(isinstance(each, EpochRecord) for each in runs)
    )


def _curve(run: Any, name: str) -> Curve:
    history = run if _is_history(run) else getattr(run, "history", None)
    if history is None:
        shown = repr(run) if len(repr(run)) <= 40 else f"This {type(run).__name__}"
        raise TypeError(
            f"{shown} has no learning curve; expected the history that fit returned, the "
            "Result of run, a Trial, or a list or dict of these."
        )
    if not history:
        raise ValueError("A history has no epochs; there is nothing to plot yet.")
    if history is run:
        title = name or "this run"
        return Curve(title, title, history)
    label = name or f"{run.title}, seed {getattr(run, 'seed', 0)}"
    return Curve(run.title, label, history, run.recipe, run.dataset)


def as_list(results: Any) -> list[Any]:
    """Return results as a list, given one, a list, or a dict of them or of lists of them."""
    if isinstance(results, Mapping):
        return [each for group in results.values() for each in as_list(group)]
    if isinstance(results, list | tuple):
        return [each for group in results for each in as_list(group)]
    return [results]


def and_so_on(texts: Sequence[str], most: int = 12) -> str:
    """Return texts in a row, for an alternative text, with only the number of those too many."""
    rest = len(texts) - most
    return "; ".join(texts[:most]) + (f"; and {rest} more" if rest > 0 else "")
