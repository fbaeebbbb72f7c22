"""The size and cost of a model: parameters, multiplications and training operations."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
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

MLP_PARAMETERS = 308_310  # assignment A's other networks must have fewer than its MLP
MAX_PARAMETERS = 1_000_000  # assignment B's networks must have fewer
# In a norm as PyTorch 2.11 prints it; newer releases print whether it has a bias after that.
AFFINE = re.compile(r"(affine=(True|False))(?!, bias=)")


def count_parameters(model: nn.Module) -> int:
    """Count the numbers in all of the model's parameters, frozen ones too; shared ones count once.

    Lazy layers first take their sizes from an image (3, 32, 32).

    Example:
        >>> import cifar_lab as lab
        >>> lab.count_parameters(lab.build_model("mlp"))
        308310
    """
    materialize(model)
    return sum(parameter.numel() for parameter in model.parameters())


def architecture_digest(model: nn.Module) -> str:
    """Return a short text that depends on the model's printed layers alone.

    It does not depend on weights, nor on wrappers such as `nn.DataParallel` and `torch.compile`,
    nor on the version of PyTorch.
    """
    printed = AFFINE.sub(r"\1, bias=\2", repr(unwrap(model)))
    return hashlib.sha256(printed.encode()).hexdigest()[:16]


def count_macs(model: nn.Module, image_shape: tuple[int, int, int] = IMAGE_SHAPE) -> int:
    """Count the multiply-accumulate operations of one image's forward pass.

    PyTorch's `FlopCounterMode` counts them in convolutions and linear layers; one
    multiply-accumulate is two of its FLOPs.

    Raises:
        ValueError: The model can't take an image of that shape.

    Example:
        >>> import cifar_lab as lab
        >>> lab.count_macs(lab.build_model("mlp"))
        308200
    """
    model = unwrap(model)
    materialize(model, image_shape)
    device = next(model.parameters(), torch.empty(0)).device
    images = torch.zeros(1, *image_shape, device=device, dtype=kind_of(model))
    counter = FlopCounterMode(display=False)
    with untouched(model), evaluation_mode(model), torch.no_grad(), _plain_attention(), counter:
        try:
            model(images)
        except RuntimeError as error:
            raise ValueError(
                f"{type(model).__name__} can't take images of shape {tuple(images.shape)}: "
                f"{error}. Check that the output size of each layer is the next one's input size."
            ) from error
    return counter.get_total_flops() // 2


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Compute attention by matrix products for the block: fused operations aren't counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def count_training_flops(
    model: nn.Module, image_shape: tuple[int, int, int] = IMAGE_SHAPE
) -> float:
    """Count the floating-point operations of one image's forward and backward pass.

    PyTorch's `FlopCounterMode` counts them in convolutions and matrix products; a multiplication
    and an addition are two. The result is three times that of the forward pass, less the gradients
    that are not computed: those of the images and of frozen weights. The optimizer's operations
    are left out.

    Raises:
        ValueError: The model can't take images of that shape, or has no parameter to train.
    """
    model = unwrap(model)
    materialize(model, image_shape)
    reference = next((each for each in model.parameters() if each.requires_grad), None)
    if reference is None:
        raise ValueError(
            "The model has no parameter that requires a gradient; expected at least one. Unfreeze "
            "a layer with layer.requires_grad_(True)."
        )
    backward = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    counter = FlopCounterMode(display=False, custom_mapping=backward)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        untouched(model),
        _plain_attention(),
        counter,
    ):
        # Batch norm can't train on a single image.
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


def convolution_backward_flops(
    grad_out_shape: list[int], x_shape: list[int], w_shape: list[int], *rest: Any, out_shape: Any
) -> int:
    """Count each gradient like the forward pass: PyTorch's own count ignores groups."""
    input_and_weights: list[bool] = rest[-1][:2]
    return sum(input_and_weights) * conv_flop_count(x_shape, w_shape, grad_out_shape)
