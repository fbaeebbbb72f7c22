"""Faster computations of layers that follow one another, for the time of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as modules

from cifar_lab.models.layout import CHANNELS_LAST, has_hooks

GROWTH = 8  # `conv_norm` is faster from this ratio of output to input channels


@contextmanager
def faster_sequences(model: nn.Module) -> Iterator[None]:
    """Turn the network's `nn.Sequential`s into `FasterSequential`s for the block.

    They are the same modules with the same layers, in another class; those of a custom class, or
    with a `forward` of their own, stay as they are.
    """
    found = [
        module
        for module in model.modules()
        if type(module) is nn.Sequential and "forward" not in module.__dict__
    ]
    try:
        for module in found:
            module.__class__ = FasterSequential
        yield
    finally:
        for module in found:
            module.__class__ = nn.Sequential


class FasterSequential(nn.Sequential):
    """A `Sequential` that computes some of its layers together in training mode.

    Nothing but the next layer sees what a layer of a `Sequential` returns, so the result is the
    same: pooling before ReLU and dropout to the bit, a 1x1 convolution with its batch norm except
    for rounding. Layers that hooks watch, and those of custom classes, are computed one by one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map the first layer's input to the last one's output."""
        layers = list(self)
        if not self.training or _has_global_hooks():
            return super().forward(x)
        place = 0
        while place < len(layers):
            count = _length_before_pool(layers[place:])
            if count:
                x = layers[place + count](x)
                for layer in layers[place : place + count]:
                    x = layer(x)
                place += count + 1
            elif _is_pair(layers[place : place + 2]) and torch.is_tensor(x) and x.ndim == 4:
                x = conv_norm(x, *layers[place : place + 2])  # type: ignore[arg-type]
                place += 2
            else:
                x = layers[place](x)
                place += 1
        return x


def _has_global_hooks() -> bool:
    """Return whether hooks watch all modules; PyTorch 2.4 has no function of its own for it."""
    return bool(
        modules._global_backward_pre_hooks
        or modules._global_backward_hooks
        or modules._global_forward_pre_hooks
        or modules._global_forward_hooks
    )


def _length_before_pool(layers: Sequence[nn.Module]) -> int:
    """Return how many layers max pooling can stand before; 0 where it gains nothing.

    ReLU and dropout of whole channels never turn a larger value of a channel into a smaller one,
    so pooling first is the same, and they then have a quarter of the work.
    """
    for count, layer in enumerate(layers):
        if not _is_plain(layer):
            return 0
        if type(layer) is nn.MaxPool2d:
            has_relu = any(type(each) is nn.ReLU for each in layers[:count])
            return count if has_relu and not layer.return_indices else 0
        if type(layer) not in (nn.ReLU, nn.Dropout2d):
            return 0
    return 0


def _is_pair(layers: Sequence[nn.Module]) -> bool:
    """Return whether the layers are a 1x1 convolution and a batch norm that `conv_norm` is for."""
    if len(layers) < 2 or not all(map(_is_plain, layers)):
        return False
    conv, norm = layers
    return (
        type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and (conv.kernel_size, conv.stride, conv.padding) == ((1, 1), (1, 1), (0, 0))
        and (conv.groups, conv.bias) == (1, None)
        and conv.out_channels >= GROWTH * conv.in_channels
        and norm.training
        and norm.affine
        and norm.track_running_stats
    )


def _is_plain(layer: nn.Module) -> bool:
    return not has_hooks(layer) and "forward" not in layer.__dict__


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Map features (N, in, H, W) through a 1x1 convolution and batch norm in training mode.

    Both are computed as one convolution, which is faster for few input and many output channels.
    The outputs' mean and variance follow from the inputs': with weights W, mean m and covariance C
    of the inputs they are W m and the diagonal of W C W'. So the batch norm is merged into the
    convolution's weights, and the many output channels, which would be read and written several
    times for their statistics, are written once.
    """
    x = x.contiguous(memory_format=CHANNELS_LAST)
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
    _update_running_statistics(norm, out_mean, out_variance, len(places))
    return functional.conv2d(x, conv.weight * scale.view(-1, 1, 1, 1), shift)


@torch.no_grad()
def _update_running_statistics(
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
