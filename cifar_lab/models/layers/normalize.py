"""Normalisation as a layer: whoever evaluates a model needs to know nothing about it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation per channel, without any parameter.

    As the first layer of a model it makes training and test agree: whoever evaluates the model
    hands it images in [0, 1] and needs to know nothing else.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] -> the same shape, about zero mean and unit variance."""
        return (images - self.mean) / self.std
