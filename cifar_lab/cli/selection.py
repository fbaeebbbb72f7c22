"""The experiments that a command names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifar_lab.experiments.catalog import Experiment


def named_experiments(names: Sequence[str], options: argparse.Namespace) -> list[Experiment]:
    """Return the named experiments, on another dataset where one is given."""
    from cifar_lab.experiments.catalog import EXPERIMENTS, find_experiments

    experiments = [EXPERIMENTS[name] for name in find_experiments(names)]
    if options.dataset is not None:
        experiments = [replace(each, dataset=options.dataset) for each in experiments]
    return experiments
