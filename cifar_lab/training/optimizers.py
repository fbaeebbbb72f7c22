"""A recipe's optimizer, built for a model's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cifar_lab.training.muon import Muon
from cifar_lab.training.recipe import Recipe

TINY = 1e-35  # a thousand times the smallest normal float32
STEPS_BETWEEN_CLEARINGS = 50


def build_optimizer(
    recipe: Recipe, model: nn.Module, *, fuse: bool = True, scaled: bool = False
) -> torch.optim.Optimizer:
    """Build the recipe's optimizer for the model's trainable parameters.

    Args:
        recipe: Names the optimizer and its settings.
        model: The model, on the device where it is trained.
        fuse: Whether to update all parameters in one operation, where the device can.
        scaled: Whether a gradient scaler skips the steps whose gradients overflow.

    Raises:
        ValueError: The model has no parameter to train.
    """
    groups = _parameter_groups(recipe, model)
    parameters = [parameter for group in groups for parameter in group["params"]]
    if not parameters:
        raise ValueError(
            "The model has no parameter that requires a gradient; expected at least one. Unfreeze "
            "a layer with layer.requires_grad_(True)."
        )
    if recipe.optimizer == "muon":
        return Muon(groups, lr=recipe.learning_rate, momentum=recipe.momentum)
    fused = fuse and all(
        parameter.device.type in ("cpu", "cuda") and parameter.is_floating_point()
        for parameter in parameters
    )
    if recipe.optimizer == "sgd":
        if scaled and recipe.momentum:
            # The fused momentum is arbitrary memory after a first step that was skipped (seen with
            # PyTorch 2.4.1 and 2.14.1).
            fused = False
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
    """Return the trainable parameters in one group, or in one group for each learning rate.

    A group's "share" is the constant ratio of its learning rate to the scheduled one.
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
def lay_out_averages(optimizer: torch.optim.Optimizer) -> None:
    """Give each average of gradients the memory layout of its parameter, if it has another.

    Fused optimizers go through both in the order of memory. They differ where a run is resumed in
    another layout than it was saved in.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not torch.is_tensor(value) or value.shape != parameter.shape:
                continue
            if value.stride() != parameter.stride():
                laid_out = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False)
                state[name] = laid_out.copy_(value)


def keep_averages_normal(optimizer: torch.optim.Optimizer) -> None:
    """Make the optimizer set tiny numbers in its averages to zero every few steps, on the CPU.

    Where a unit is not activated by any image any more, its gradients are zero, and their averages
    shrink until they are denormal numbers, which a CPU needs a hundred times as long for: for the
    MLP, as long as for the rest of its training. Steps of that size don't change any weight. A
    second call for the same optimizer changes nothing.
    """
    hooks = optimizer._optimizer_step_post_hooks.values()
    if not any(isinstance(hook, _ClearingTinyAverages) for hook in hooks):
        optimizer.register_step_post_hook(_ClearingTinyAverages())


class _ClearingTinyAverages:
    """A hook after an optimizer's steps that clears tiny averages every few steps."""

    def __init__(self) -> None:
        self._steps = 0

    def __call__(self, optimizer: torch.optim.Optimizer, *arguments: Any) -> None:
        self._steps += 1
        if self._steps % STEPS_BETWEEN_CLEARINGS == 0:
            clear_tiny_averages(optimizer)


@torch.no_grad()
def clear_tiny_averages(optimizer: torch.optim.Optimizer) -> None:
    """Set tiny numbers in the optimizer's averages of gradients to zero, on the CPU."""
    for state in optimizer.state.values():
        for average in state.values():
            if torch.is_tensor(average) and average.ndim > 0 and average.device.type == "cpu":
                average.masked_fill_(average.abs() < TINY, 0)
