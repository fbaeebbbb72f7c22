"""Batch norm for few channels, computed on several pixels at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

NARROW = 16  # fewer channels than this don't fill the widest registers of a CPU
ROW = 64  # numbers: some pixels together, which do


class NarrowBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d`, faster in training on the CPU where there are fewer than `NARROW` channels.

    Channels-last, a pixel's channels lie side by side, and PyTorch's loops go over them. Where they
    are fewer than the processor multiplies at once, its backward pass goes through them one by one:
    for 8 channels it takes eight times as long as for 16. Here several pixels make one row of `ROW`
    numbers, and what comes out for each place in the row is then put together for each channel.

    The result is `BatchNorm2d`'s but for rounding, and inputs of another kind are left to it. There
    is no gradient of the gradient here.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, C, H, W) -> features of the same shape."""
        complete = self.weight is not None and self.bias is not None and self.track_running_stats
        fits = fits_rows(x) and x.size(1) == self.num_features
        if not (self.training and complete and fits):
            return super().forward(x)
        out, mean, variance = _BatchNormInRows.apply(x, self.weight, self.bias, self.eps)
        update_running_statistics(self, mean, variance, x.numel() // x.size(1))
        return out


@contextmanager
def narrow_norms(model: nn.Module) -> Iterator[None]:
    """The network's batch norms of few channels as `NarrowBatchNorm2d`, for a time.

    They are the same modules with the same tensors, in another class; those of a class of the
    user's own stay what they are.
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
    """Whether features (N, C, H, W) are several whole rows in memory, and faster as such."""
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
        norm: one that tracks them.
        mean: of each channel, (C,).
        variance: the same, divided by the count and not by one less.
        count: numbers in each channel.

    Raises:
        ValueError: one number has no variance.
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
    """(x - mean) / deviation * weight + bias, and the mean and variance themselves."""

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
    """(N, C, H, W), channels-last, seen as (N x C x H x W / ROW, ROW)."""
    return x.permute(0, 2, 3, 1).view(-1, ROW)


def _repeat(channels: Tensor) -> Tensor:
    """(C,) -> (ROW,)."""
    return channels.repeat(ROW // len(channels))
