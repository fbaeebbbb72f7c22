"""How large and how costly a model is."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Numbers in all the model's parameters, frozen ones too; a shared one counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image_shape: tuple[int, int, int] = (3, 32, 32)) -> int:
    """Multiply-accumulate operations for one image's forward pass, in convolutions and linears.

    PyTorch's `FlopCounterMode` counts them; one multiply-accumulate is two of its FLOPs.
    """
    reference = next(model.parameters(), torch.empty(0))
    images = torch.zeros(1, *image_shape, device=reference.device, dtype=reference.dtype)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(images)
    finally:
        model.train(was_training)
    return counter.get_total_flops() // 2
