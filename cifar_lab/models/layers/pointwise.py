"""A 1x1 convolution and its batch norm, computed as one convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.models.layers.batch_norm import update_running_statistics

MOMENTUM = 0.1  # of the running statistics


class PointwiseConvNorm(nn.Module):
    """A 1x1 convolution without bias, then batch norm; for few channels in and many out.

    The outputs' mean and variance follow from the inputs': with weights W, mean m and covariance C
    of the inputs they are W m and the diagonal of W C W'. So in training the batch norm goes into
    the convolution's weights beforehand, and the many output channels, which would be read and
    written several times for their statistics, are written once. The result is that of the two
    layers one after the other, but for rounding.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, in, H, W) -> (N, out, H, W)."""
        conv, norm = self.conv, self.norm
        if not norm.training:
            return norm(conv(x))
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
