"""Saved results of experiments as they are now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.experiments.results import Result, find_results
from cifar_lab.models.counting import architecture_digest
from cifar_lab.utils.seeding import random_state_kept


def current_results(out: Path, experiments: Iterable[Experiment]) -> dict[str, list[Result]]:
    """Return saved results of these experiments as they are now: same data, recipe and network.

    Args:
        out: The folder of results.
        experiments: Experiments, each with a name of its own.

    Returns:
        The newest result of each seed, in their order, by the experiment's name.
    """
    saved = [each for each in experiments if (out / each.name).is_dir()]
    return find_results(
        out,
        {each.name: (each.dataset, each.recipe) for each in saved},
        {each.name: architecture(each) for each in saved},
    )


def architecture(experiment: Experiment) -> str:
    """Return the digest of the experiment's network as it is now."""
    with random_state_kept(gpus=False):
        model = experiment.build_model(DATASETS[experiment.dataset].num_classes)
    return architecture_digest(model)
