"""The parameters that a gradient reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.models.inspection import untouched

GRADIENT_TRIES = 5


def without_gradient(
    model: nn.Module, tensors: Mapping[str, Tensor], images: Callable[[int], Tensor]
) -> list[str]:
    """Return the parameters that got no gradient from several batches, or only zeros.

    A tensor under several names is one parameter.

    Args:
        model: Network in eval mode.
        tensors: Tensors by name; those that are one tensor have the same memory.
        images: Returns as many images as it is asked for.
    """
    names: dict[tuple[int, ...], list[str]] = defaultdict(list)
    places = {name: (tensor.data_ptr(), *tensor.shape) for name, tensor in tensors.items()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[places.get(name, (parameter.data_ptr(), *parameter.shape))].append(name)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    waiting = list(names.values())
    for attempt in range(GRADIENT_TRIES):
        outputs = model(images(8 + attempt))
        model.zero_grad()
        (outputs * torch.randn_like(outputs)).sum().backward()
        waiting = [
            group for group in waiting if not any(_has_gradient(parameters[one]) for one in group)
        ]
        if not waiting:
            break
    return [group[0] for group in waiting]


def reached_in_training(model: nn.Module, image_size: int) -> list[str]:
    """Return the parameters with a gradient in training mode, where auxiliary heads have one.

    Args:
        model: Network, which is left as it was.
        image_size: Height and width of the images that it takes.
    """
    with untouched(model), suppress(Exception):
        model.train()
        outputs = model(torch.rand(8, 3, image_size, image_size))
        sum((each * torch.randn_like(each)).sum() for each in _tensors_in(outputs)).backward()
        return [name for name, each in model.named_parameters() if _has_gradient(each)]
    return []


def _tensors_in(outputs: Any) -> list[Tensor]:
    """Return the tensors among a network's outputs, which may be several."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, tuple | list):
        return [tensor for each in outputs for tensor in _tensors_in(each)]
    return [outputs] if torch.is_tensor(outputs) and outputs.is_floating_point() else []


def _has_gradient(parameter: Tensor) -> bool:
    return parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
