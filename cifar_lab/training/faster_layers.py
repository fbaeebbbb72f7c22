"""Faster computations of PyTorch's layers, for the time of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

NARROW = 16  # fewer channels than this don't fill the widest registers of a CPU
ROW = 64  # numbers of several pixels, which fill the registers


class NarrowBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d`, faster in training on the CPU where there are fewer than `NARROW` channels.

    In channels-last layout a pixel's channels are next to each other, and PyTorch's loops run over
    them. Where they are fewer than the processor multiplies at once, its backward pass handles them
    one by one: for 8 channels it takes eight times as long as for 16. Here several pixels make one
    row of `ROW` numbers, and the results for each position in the row are then combined for each
    channel.

    The result is `BatchNorm2d`'s except for rounding. `BatchNorm2d` itself computes inputs of
    another kind. There is no second derivative.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, C, H, W) to features of the same shape."""
        complete = self.weight is not None and self.bias is not None and self.track_running_stats
        fits = fits_rows(x) and x.size(1) == self.num_features
        if not (self.training and complete and fits):
            return super().forward(x)
        out, mean, variance = _BatchNormInRows.apply(x, self.weight, self.bias, self.eps)
        update_running_statistics(self, mean, variance, x.numel() // x.size(1))
        return out


@contextmanager
def narrow_norms(model: nn.Module) -> Iterator[None]:
    """Turn the network's batch norms of few channels into `NarrowBatchNorm2d` for the block.

    They stay the same modules with the same tensors, and only change their class. Modules of a
    custom class are left as they are.
    """
    layers = [
        layer
        for layer in model.modules()
        if type(layer) is nn.BatchNorm2d and layer.num_features < NARROW
    ]
    try:
        for layer in layers:
            layer.__class__ = NarrowBatchNorm2d
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.BatchNorm2d


def fits_rows(x: Tensor) -> bool:
    """Return whether features (N, C, H, W) are several complete rows of `ROW` numbers in memory."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.is_contiguous(memory_format=torch.channels_last)
        and 0 < x.size(1) < NARROW
        and ROW % x.size(1) == 0
        and x.numel() % ROW == 0
        and x.numel() > ROW
    )


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


class _BatchNormInRows(torch.autograd.Function):
    """The function (x - mean) / deviation * weight + bias, which also returns mean and variance."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, channels = _rows(x), x.size(1)
        means, variances = x.new_zeros(ROW), x.new_zeros(ROW)
        functional.batch_norm(rows, means, variances, training=True, momentum=1.0)
        variances *= (len(rows) - 1) / len(rows)
        means, variances = means.view(-1, channels), variances.view(-1, channels)
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        deviation = (variance + eps).sqrt()
        scale = weight / deviation
        out = torch.empty_like(x)
        torch.addcmul(_repeat(bias - mean * scale), rows, _repeat(scale), out=_rows(out))
        ctx.save_for_backward(x, weight, mean, deviation)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor, *of_statistics: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, deviation = ctx.saved_tensors
        rows, grads = _rows(x), _rows(grad.contiguous(memory_format=torch.channels_last))
        count, channels = x.numel() // x.size(1), x.size(1)
        grad_bias = grads.sum(dim=0).view(-1, channels).sum(dim=0)
        products = (grads * rows).sum(dim=0).view(-1, channels).sum(dim=0)
        grad_weight = (products - mean * grad_bias) / deviation
        # grad_x = scale * (grad - mean of grad - normalised x * mean of (grad * normalised x))
        scale = weight / deviation
        of_x = -scale * grad_weight / (count * deviation)
        constant = -scale * grad_bias / count - of_x * mean
        grad_x = torch.empty_like(x)
        torch.addcmul(_repeat(constant), rows, _repeat(of_x), out=_rows(grad_x))
        _rows(grad_x).addcmul_(grads, _repeat(scale))
        return grad_x, grad_weight, grad_bias, None


def _rows(x: Tensor) -> Tensor:
    """View channels-last features (N, C, H, W) as rows (N x C x H x W / ROW, ROW)."""
    return x.permute(0, 2, 3, 1).view(-1, ROW)


def _repeat(channels: Tensor) -> Tensor:
    """Repeat one number per channel (C,) to fill a row (ROW,)."""
    return channels.repeat(ROW // len(channels))


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
