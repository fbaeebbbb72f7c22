"""Trials of a model that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cifar_lab.models.holdings import holdings
from cifar_lab.utils.seeding import random_state_kept

IMAGE_SHAPE = (3, 32, 32)


def require_network(model: object) -> None:
    """Raise a TypeError unless this is a network: its class is not, nor is its `state_dict`."""
    if isinstance(model, nn.Module):
        return
    if isinstance(model, type):
        name = model.__name__
        raise TypeError(f"{name} is a class; expected a network. Make one of it: {name}().")
    raise TypeError(
        f"The model is a {type(model).__name__}; expected a torch.nn.Module, such as "
        'cifar_lab.build_model("convnet").'
    )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the model into eval mode for the block; afterwards each module has its mode back."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was_training in training.items():
            module.training = was_training


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Restore the model and the random generators at the end of the block.

    Restored are the values of parameters and buffers, gradients, modes, attributes, the contents
    of lists and dicts in them, the model's own generators, and the global ones of PyTorch, numpy
    and Python. Only the values of tensors are copied, so the model may hold objects that can't be
    copied.
    """
    tensors = [each for each in (*model.parameters(), *model.buffers()) if not is_lazy(each)]
    values = {tensor: tensor.detach().clone() for tensor in tensors}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    modes = {module: module.training for module in model.modules()}
    restore = holdings(
        module.__dict__ for module in modes if not isinstance(module, torch.jit.ScriptModule)
    )
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        with random_state_kept():
            yield
    finally:
        restore()
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for tensor, value in values.items():
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient


def materialize(model: nn.Module, image_shape: tuple[int, ...] = IMAGE_SHAPE) -> None:
    """Let lazy layers, such as `nn.LazyLinear`, take their sizes from an image."""
    if not any(map(is_lazy, _tensors(model))):
        return
    device = next(_tensors(model)).device
    with evaluation_mode(model), torch.no_grad():
        model(torch.zeros(2, *image_shape, device=device))


def kind_of(model: nn.Module) -> torch.dtype:
    """Return the number format of the images that the model takes: that of its first weights."""
    return next(
        (each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32
    )


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
