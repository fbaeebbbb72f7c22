"""Trained weights in the package, so that its accuracies can be checked without training."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.catalog import find_experiment
from cifar_lab.training.checkpoint import load_weights

WEIGHTS_FOLDER = Path(__file__).with_name("weights")


def pretrained_names() -> list[str]:
    """Return the experiments whose trained weights come with the package."""
    return sorted(path.stem for path in WEIGHTS_FOLDER.glob("*.pt"))


def load_pretrained(name: str) -> nn.Module:
    """Build an experiment's network with the weights of the authors' run, in eval mode.

    Args:
        name: Name of the experiment.

    Raises:
        ValueError: The experiment is unknown, or its weights don't come with the package.

    Example:
        model = cifar_lab.load_pretrained("cifar10-frontier-wide")
    """
    experiment = find_experiment(name)
    if name not in pretrained_names():
        raise ValueError(
            f"No weights of {name} come with the package, only of {', '.join(pretrained_names())}. "
            f"Train it: cifar-lab run {name}"
        )
    model = experiment.build_model(DATASETS[experiment.dataset].num_classes)
    load_weights(model, WEIGHTS_FOLDER / f"{name}.pt")
    return model.eval()
