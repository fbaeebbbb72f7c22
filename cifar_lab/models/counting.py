"""How large and how costly a model is: parameters, multiplications, training operations."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from cifar_lab.models.forward import logits_in
from cifar_lab.models.inspection import (
    IMAGE_SHAPE,
    evaluation_mode,
    kind_of,
    materialize,
    untouched,
)
from cifar_lab.models.wrapping import unwrap

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
    images = torch.zeros(1, *image_shape, device=device, dtype=kind_of(model))
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
        images = torch.zeros(2, *image_shape, device=reference.device, dtype=kind_of(model))
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
