"""How large and how costly a model is, and looking at it without changing it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from cifar_lab.models.holdings import holdings
from cifar_lab.models.wrapping import unwrap

IMAGE_SHAPE = (3, 32, 32)


def logits_in(outputs: Any) -> list[Any]:
    """The logits among a network's outputs: of a tuple, as GoogLeNet gives in training, several.

    The first are those that count; behind them come further ones of the same shape.
    """
    if not isinstance(outputs, tuple | list) or not outputs:
        return [outputs]
    first, *others = outputs
    shape = getattr(first, "shape", None)
    return [first, *(each for each in others if torch.is_tensor(each) and each.shape == shape)]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; afterwards each of its modules is in the mode it was in."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was_training in training.items():
            module.training = was_training


@contextmanager
def chance_kept() -> Iterator[None]:
    """Whatever is drawn inside, the generators of PyTorch, numpy and Python are then as before."""
    python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Whatever is tried out inside, the model is afterwards as before, and so is chance.

    That is: values of parameters and buffers, gradients, modes, the attributes that forward passes
    set, what they add to lists and dicts of the model, its own generators, and those of PyTorch,
    numpy and Python. Nothing of the model is copied but its tensors' values, so a network may keep
    whatever it likes.
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
        with chance_kept():
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


def _kind_of(model: nn.Module) -> torch.dtype:
    """The number format of the images that the model takes: that of its first weights."""
    return next(
        (each.dtype for each in model.parameters() if each.is_floating_point()), torch.float32
    )


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


MLP_PARAMETERS = 308_310  # of assignment A's fully connected network, which others have to undercut
MAX_PARAMETERS = 1_000_000  # a model of assignment B has fewer


def count_parameters(model: nn.Module) -> int:
    """Numbers in all the model's parameters, frozen ones too; a shared one counts once.

    Lazy layers take their sizes from an image (3, 32, 32) first.
    """
    materialize(model)
    return sum(parameter.numel() for parameter in model.parameters())


def architecture_digest(model: nn.Module) -> str:
    """A short text that differs where the model's printed layers do; weights don't matter.

    Neither do wrappers, such as `nn.DataParallel` and `torch.compile`.
    """
    return hashlib.sha256(repr(unwrap(model)).encode()).hexdigest()[:16]


def count_macs(model: nn.Module, image_shape: tuple[int, int, int] = IMAGE_SHAPE) -> int:
    """Multiply-accumulate operations for one image's forward pass, in convolutions and linears.

    PyTorch's `FlopCounterMode` counts them; one multiply-accumulate is two of its FLOPs.

    Raises:
        ValueError: the model can't take an image of that shape.
    """
    model = unwrap(model)
    materialize(model, image_shape)
    device = next(model.parameters(), torch.empty(0)).device
    images = torch.zeros(1, *image_shape, device=device, dtype=_kind_of(model))
    counter = FlopCounterMode(display=False)
    with untouched(model), evaluation_mode(model), torch.no_grad(), counter:
        try:
            model(images)
        except RuntimeError as error:
            raise ValueError(
                f"{type(model).__name__} can't take images of shape {tuple(images.shape)}: "
                f"{error}. Do the sizes of its layers follow from one another?"
            ) from error
    return counter.get_total_flops() // 2


def count_training_flops(
    model: nn.Module, image_shape: tuple[int, int, int] = IMAGE_SHAPE
) -> float:
    """Floating-point operations of one image's forward and backward pass, in matrix products.

    PyTorch's `FlopCounterMode` counts convolutions and matrix products; a multiplication and an
    addition are two. Three times the forward pass, but for what needs no gradient: the images, and
    frozen weights. What the optimizer computes is not in it.

    Raises:
        ValueError: the model can't take images of that shape, or has nothing to train.
    """
    model = unwrap(model)
    materialize(model, image_shape)
    reference = next((each for each in model.parameters() if each.requires_grad), None)
    if reference is None:
        raise ValueError("The model has no parameter that requires a gradient; nothing to train.")
    backward = {torch.ops.aten.convolution_backward: _convolution_backward_flops}
    counter = FlopCounterMode(display=False, custom_mapping=backward)
    with torch.inference_mode(False), torch.enable_grad(), untouched(model), counter:
        # One image alone has no variance for batch norm.
        images = torch.zeros(2, *image_shape, device=reference.device, dtype=_kind_of(model))
        model.train()
        try:
            logits = logits_in(model(images))[0]
            functional.cross_entropy(logits, torch.zeros_like(logits)).backward()
        except RuntimeError as error:
            raise ValueError(
                f"{type(model).__name__} can't be trained on images of shape "
                f"{tuple(images.shape)}: {error}"
            ) from error
    return counter.get_total_flops() / len(images)


def _convolution_backward_flops(
    grad_out_shape: list[int], x_shape: list[int], w_shape: list[int], *rest: Any, out_shape: Any
) -> int:
    """Of each gradient what the forward pass costs: PyTorch's own count leaves out the groups."""
    input_and_weights: list[bool] = rest[-1][:2]
    return sum(input_and_weights) * conv_flop_count(x_shape, w_shape, grad_out_shape)
