"""Layers that treat an image and its mirror image alike, with half the weights.

Their channels stand in two halves: what the first half is for an image, the second half is for its
mirror image, mirrored. So where the image is mirrored, the halves change places. An edge that leans
to the left then takes no weights besides those of the edge that leans to the right, and whatever is
learnt from an image is learnt for its mirror image too.

The channels of `MirroredWhitening` have others in the middle, `fixed` ones, which stay where they
are: their filters are symmetric.

Source: Cohen and Welling 2016 (Group equivariant convolutional networks, arXiv:1602.07576).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.models.layers.whitening import EPSILON, Whitening, second_moments


class MirroredConv(nn.Conv2d):
    """A convolution from halves to halves that at first copies its inputs to its first outputs.

    Its weights are those of the first half of its outputs. The second half's are the same, mirrored
    and with the halves of the inputs exchanged.

    Args:
        in_channels: The number of input channels.
        out_channels: The number of output channels, an even number.
        kernel_size: The filters' height and width, an odd number.
        fixed: The number of input channels, in their middle, that stay where the halves change
            places.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, fixed: int = 0
    ) -> None:
        super().__init__(
            in_channels, out_channels // 2, kernel_size, padding=kernel_size // 2, bias=False
        )
        self.out_channels = out_channels
        self.pairs = (in_channels - fixed) // 2
        with torch.no_grad():
            nn.init.dirac_(self.weight[: self.pairs + fixed])

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, in_channels, H, W) to (N, out_channels, H, W)."""
        first, middle, second = self.weight.tensor_split([self.pairs, -self.pairs], dim=1)
        exchanged = torch.cat([second, middle, first], dim=1)
        weight = torch.cat([self.weight, exchanged.flip(3)])
        return functional.conv2d(x, weight, padding=self.padding)


class MirroredDepthwise(nn.Conv2d):
    """A 3x3 depthwise convolution of halves that at first nearly copies its inputs.

    Each weight of the first half serves the second half too, mirrored. The filters of fixed
    channels are the means of their weights and the mirrored weights, so symmetric.

    Args:
        channels: The number of channels.
        fixed: The number of channels, in their middle, that stay where the halves change places.
    """

    def __init__(self, channels: int, fixed: int = 0) -> None:
        filters = (channels + fixed) // 2
        super().__init__(filters, filters, kernel_size=3, padding=1, groups=filters, bias=False)
        self.in_channels = self.out_channels = self.groups = channels
        self.pairs = (channels - fixed) // 2
        with torch.no_grad():
            self.weight.mul_(0.5)
            self.weight[:, :, 1, 1] += 1

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, channels, H, W) to features of the same shape."""
        mirrored = self.weight.flip(3)
        middle = (self.weight + mirrored)[self.pairs :] / 2
        weight = torch.cat([self.weight[: self.pairs], middle, mirrored[: self.pairs]])
        return functional.conv2d(x, weight, padding=1, groups=self.groups)


class MirroredNorm(nn.BatchNorm2d):
    """Batch norm without scales, whose biases serve both halves.

    The layer after it can scale each channel as well (Page 2019, How to train your ResNet). In eval
    mode each half is normalised by the means of both halves' statistics.

    Args:
        channels: The number of channels, both halves together.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.bias = nn.Parameter(torch.zeros(channels // 2))

    def extra_repr(self) -> str:
        """Return the number of channels; PyTorch's releases differ in what else they print."""
        return f"{self.num_features}"

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, channels, H, W) to features of the same shape."""
        mean, variance = self.running_mean, self.running_var
        share = self.momentum
        if self.training:
            self.num_batches_tracked.add_(1)
            if share is None:  # the mean over all batches so far
                share = 1 / int(self.num_batches_tracked)
        else:
            mean, variance = (each.view(2, -1).mean(dim=0).repeat(2) for each in (mean, variance))
        bias = self.bias.repeat(2)
        return functional.batch_norm(
            x, mean, variance, None, bias, self.training, share or 0.0, self.eps
        )


class MirroredWhitening(Whitening):
    """A whitening whose filters are symmetric or antisymmetric, and which has no bias.

    Both signs of the antisymmetric filters' outputs are the halves of its channels, since a mirror
    image has them exchanged; both signs of the symmetric ones' stand between them. Each filter is
    stored with one sign only.
    """

    def __init__(self) -> None:
        super().__init__(kernel_size=2)
        self.fixed = self.conv.out_channels // 2
        self.conv = nn.Conv2d(self.conv.in_channels, self.fixed, kernel_size=2, bias=False)
        self.conv.weight.requires_grad_(False)

    @property
    def out_channels(self) -> int:
        """Return the number of output channels."""
        return 2 * self.fixed

    @torch.no_grad()
    def compute_from(self, images: Tensor) -> None:
        """Compute the filters from this layer's inputs: images (N, C, H, W) of about zero mean."""
        moments = second_moments(images, self.conv.kernel_size)
        identity = torch.eye(len(moments), dtype=moments.dtype)
        mirror = identity.view(-1, *self.conv.weight.shape[1:]).flip(3).flatten(1)
        filters = []
        for sign in (-1, 1):
            onto = (identity + sign * mirror) / 2  # antisymmetric patches, then symmetric ones
            variances, directions = torch.linalg.eigh(onto @ (moments + EPSILON * identity) @ onto)
            kept = len(moments) // 2  # the other directions' variances are zero
            scaled = directions[:, kept:] / variances[kept:].sqrt()
            filters.append(scaled.T.flip(0))  # the largest variance first
        self.conv.weight.copy_(torch.cat(filters).view_as(self.conv.weight))
        self.computed.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to features (N, 24, H - 1, W - 1)."""
        odd, even = self.conv(x).chunk(2, dim=1)
        return torch.cat([odd, even, -even, -odd], dim=1)
