"""A recipe's optimizer over a model's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cifar_lab.training.muon import Muon
from cifar_lab.training.recipe import Recipe

TINY = 1e-35  # a thousand times the smallest float32 that has all its digits


def build_optimizer(
    recipe: Recipe, model: nn.Module, *, fuse: bool = True
) -> torch.optim.Optimizer:
    """The recipe's optimizer over the model's trainable parameters.

    It updates all of them in one fused operation where the device has it; with `fuse` off, as
    PyTorch does by default.

    Raises:
        ValueError: the model has no parameter to train.
    """
    groups = _parameter_groups(recipe, model)
    parameters = [parameter for group in groups for parameter in group["params"]]
    if not parameters:
        raise ValueError("The model has no parameter that requires a gradient; nothing to train.")
    if recipe.optimizer == "muon":
        return Muon(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    fused = fuse and all(
        parameter.device.type in ("cpu", "cuda") and parameter.is_floating_point()
        for parameter in parameters
    )
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            fused=fused or None,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    return optimizers[recipe.optimizer](
        groups, fused=fused or None, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def _parameter_groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    """Trainable parameters: all in one group, or a group for each learning rate.

    A group's "share" of the recipe's learning rate stays as it is while the schedule changes all.
    """
    rate, other, bias = recipe.learning_rate, recipe.other_learning_rate, recipe.bias_learning_rate
    rates = {"convolution": rate, "other": other or rate, "bias": bias or rate}
    trainable = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    if other is None and bias is None:
        return [{"params": list(trainable.values())}]
    convolutions = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Conv2d)
    }
    kinds: dict[str, list[nn.Parameter]] = {"convolution": [], "other": [], "bias": []}
    for name, parameter in trainable.items():
        is_bias = bias is not None and name.rpartition(".")[2] == "bias"
        kind = "convolution" if id(parameter) in convolutions else "other"
        kinds["bias" if is_bias else kind].append(parameter)
    orthogonal = {"orthogonal": True} if recipe.optimizer == "muon" else {}
    return [
        {
            "params": parameters,
            "lr": rates[kind],
            "share": rates[kind] / rate,
            **(orthogonal if kind == "convolution" else {}),
        }
        for kind, parameters in kinds.items()
        if parameters
    ]


@torch.no_grad()
def clear_tiny_averages(optimizer: torch.optim.Optimizer) -> None:
    """Set to zero what is next to nothing in the optimizer's averages of gradients, on the CPU.

    Behind a unit that no image reaches any more, gradients are zero, and their averages shrink step
    by step until float32 has no digits left for them. There they stay, and a CPU takes a hundred
    times as long for each such number: for the MLP, as long as for all the rest of its training.
    Steps of that size don't change any weight.
    """
    for state in optimizer.state.values():
        for average in state.values():
            if torch.is_tensor(average) and average.ndim > 0 and average.device.type == "cpu":
                average.masked_fill_(average.abs() < TINY, 0)
