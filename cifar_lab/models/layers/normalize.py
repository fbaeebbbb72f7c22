"""Normalisation as a layer, so that a model takes images in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """A layer that subtracts a mean and divides by a standard deviation per channel.

    It has no parameters. As the first layer of a model it makes training and evaluation agree: the
    model takes images in [0, 1] in both.

    Args:
        mean: The mean of each channel of images in [0, 1].
        std: The standard deviation of each channel of images in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) in [0, 1] to the same shape, of about mean 0 and variance 1."""
        return (images - self.mean) / self.std
