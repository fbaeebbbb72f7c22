"""The cost of an experiment, counted before it is run, and whether that keeps to a budget."""

from __future__ import annotations

from dataclasses import dataclass

from cifar_lab.data.cifar import DATASETS
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.models.counting import MAX_PARAMETERS, count_parameters, count_training_flops

T4_HOUR_FLOPS = 3e16
"""Floating-point operations of a T4 in an hour of mixed-precision training: an estimate.

It is 8.3e12 operations a second, about an eighth of the 6.5e13 that NVIDIA states for its fp16
matrix units: small convolutions, batch norms and augmentation keep them waiting.
"""


@dataclass(frozen=True)
class Cost:
    """The cost of an experiment.

    Attributes:
        parameters: The numbers in the model's parameters.
        training_flops: The floating-point operations of the whole training, in matrix products.
    """

    parameters: int
    training_flops: float


def training_flops(experiment: Experiment, images: int = 50_000) -> float:
    """Return the floating-point operations of an experiment's training, in matrix products.

    Every epoch counts, also where patience may end the training before. Evaluations, a new estimate
    of batch norm's statistics, and the optimizer's own products (a few percent for Muon) are not in
    it.

    Args:
        experiment: The experiment; the share that it holds out for validation is not trained on.
        images: The number of training images before that share is held out.

    Raises:
        ValueError: The model can't be trained on CIFAR's images.
    """
    return _cost(experiment, images).training_flops


def _cost(experiment: Experiment, images: int = 50_000) -> Cost:
    model = experiment.build_model(DATASETS[experiment.dataset].num_classes)
    seen = images * (1 - experiment.validation_fraction) * experiment.recipe.epochs
    return Cost(count_parameters(model), count_training_flops(model) * seen)


def check_budget(
    experiment: Experiment,
    *,
    max_parameters: int = MAX_PARAMETERS,
    max_flops: float = T4_HOUR_FLOPS,
) -> Cost:
    """Return the cost of an experiment that keeps to the budget.

    Args:
        experiment: The experiment, on CIFAR's 50,000 training images.
        max_parameters: The limit that the model's parameters must stay below.
        max_flops: The most floating-point operations that the training may take.

    Raises:
        ValueError: It takes more; the message says how much, and what to change.
    """
    cost = _cost(experiment)
    parameters, flops = cost.parameters, cost.training_flops
    problems = []
    if parameters >= max_parameters:
        problems.append(
            f"its model has {parameters:,} parameters; expected fewer than {max_parameters:,}. "
            f"Take away at least {parameters - max_parameters + 1:,}."
        )
    if flops > max_flops:
        epochs = experiment.recipe.epochs
        fitting = int(max_flops * epochs / flops)
        remedy = f"recipe.with_epochs({fitting}) would fit." if fitting else "Not even one fits."
        problems.append(
            f"{epochs:,} epochs take {flops:.2e} floating-point operations; expected at most "
            f"{max_flops:.2e}. {remedy} A model with fewer multiplications allows more epochs."
        )
    if problems:
        raise ValueError(f"{experiment.name} is over its budget: {' And '.join(problems)}")
    return cost
