"""Faster computations of PyTorch's layers, for the time of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNorm:
    """A 1x1 convolution without bias and the batch norm after it, computed as one convolution.

    It is faster for few input and many output channels. The outputs' mean and variance follow from
    the inputs': with weights W, mean m and covariance C of the inputs they are W m and the diagonal
    of W C W'. So in training the batch norm is merged into the convolution's weights, and the many
    output channels, which would be read and written several times for their statistics, are
    written once. The result is that of the two layers in sequence, except for rounding.

    Args:
        conv: The convolution, whose forward pass returns its input meanwhile.
        norm: The batch norm, whose forward pass computes both layers.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Map the convolution's inputs (N, in, H, W) to the norm's outputs (N, out, H, W)."""
        conv, norm = self.conv, self.norm
        if not norm.training:
            return nn.BatchNorm2d.forward(norm, nn.Conv2d.forward(conv, x))
        with torch.autocast(x.device.type, enabled=False):  # variances need all the digits
            places = x.to(conv.weight.dtype).permute(0, 2, 3, 1).flatten(0, 2)
            weight = conv.weight.flatten(1)
            mean = places.mean(dim=0)
            centred = places - mean
            covariance = centred.T @ centred / len(places)
            out_mean = weight @ mean
            out_variance = ((weight @ covariance) * weight).sum(dim=1)
            scale = norm.weight * torch.rsqrt(out_variance + norm.eps)
            shift = norm.bias - out_mean * scale
        update_running_statistics(norm, out_mean, out_variance, len(places))
        return functional.conv2d(x, conv.weight * scale.view(-1, 1, 1, 1), shift)


class PoolFirst:
    """Max pooling moved before layers that keep the order of a channel's values.

    ReLU and dropout of whole channels are such layers. The output is the same to the bit, and the
    layers have a quarter of the work.

    Args:
        layers: The layers before the pooling, whose forward passes return their input meanwhile.
        pool: The pooling, whose forward pass computes all of them.
    """

    def __init__(self, layers: Sequence[nn.Module], pool: nn.Module) -> None:
        self.layers = layers
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Map the inputs of the first layer (N, C, H, W) to the pooling's outputs."""
        x = type(self.pool).forward(self.pool, x)
        for layer in self.layers:
            x = type(layer).forward(layer, x)
        return x


def unchanged(module: nn.Module, x: Tensor) -> Tensor:
    """Return the features as they are: the forward pass of a layer that is computed elsewhere."""
    return x


@torch.no_grad()
def update_running_statistics(
    norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int
) -> None:
    """Mix a batch's statistics into a batch norm's running ones, as `BatchNorm2d` does.

    Args:
        norm: The batch norm, which tracks running statistics.
        mean: The batch's mean of each channel, (C,).
        variance: The batch's variance of each channel, (C,), divided by `count`, not `count - 1`.
        count: The number of values in each channel.

    Raises:
        ValueError: There is only one value per channel.
    """
    if count < 2:
        raise ValueError("Batch norm expected more than 1 value per channel; use larger batches.")
    running = dict(norm.named_buffers())
    running["num_batches_tracked"] += 1
    share = norm.momentum
    if share is None:  # the mean over all batches so far
        share = 1 / int(running["num_batches_tracked"])
    running["running_mean"].lerp_(mean, share)
    running["running_var"].lerp_(variance * (count / (count - 1)), share)
