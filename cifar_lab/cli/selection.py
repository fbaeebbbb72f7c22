"""The experiments that a command names, and their saved results."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_lab.data.cifar import DATASETS

if TYPE_CHECKING:
    from cifar_lab.experiments.catalog import Experiment
    from cifar_lab.experiments.results import Result


def named_experiments(names: Sequence[str], options: argparse.Namespace) -> list[Experiment]:
    """Return the named experiments, on another dataset where one is given."""
    from cifar_lab.experiments.catalog import EXPERIMENTS, find_experiments

    experiments = [EXPERIMENTS[name] for name in find_experiments(names)]
    if options.dataset is not None:
        experiments = [replace(each, dataset=options.dataset) for each in experiments]
    return experiments


def current_results(out: Path, experiments: Sequence[Experiment]) -> dict[str, list[Result]]:
    """Return saved results of these experiments as they are now: same data, recipe and network."""
    from cifar_lab.experiments.results import find_results

    return find_results(
        out,
        {each.name: (each.dataset, each.recipe) for each in experiments},
        {each.name: architecture(each) for each in experiments},
    )


def architecture(experiment: Experiment) -> str:
    """Return the digest of the experiment's network as it is now."""
    from cifar_lab.models.counting import architecture_digest

    return architecture_digest(experiment.build_model(DATASETS[experiment.dataset].num_classes))
