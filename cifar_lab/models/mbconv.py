"""Inverted bottlenecks with squeeze-and-excitation, in networks of under a million parameters.

Sandler et al. 2018 (arXiv:1801.04381); Tan and Le 2019 (arXiv:1905.11946).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cifar_lab.data.cifar import CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.models.layers.blocks import SqueezeExcitation, block_groups, he_conv
from cifar_lab.models.layers.normalize import Normalize

EXPANSION = 6


class MBConvBlock(nn.Module):
    """A 1x1 convolution to six times the channels, 3x3 depthwise, gates, and 1x1 back down.

    The 3x3 convolution is depthwise, so it is cheap although there are many channels. No
    nonlinearity follows the last convolution, since it would lose information where channels are
    few. The shortcut is the identity; where channels or size change, there is none.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        inside = EXPANSION * in_channels
        self.residual = nn.Sequential(
            he_conv(in_channels, inside, kernel_size=1),
            nn.BatchNorm2d(inside),
            nn.SiLU(),
            nn.Conv2d(inside, inside, 3, stride, padding=1, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.SiLU(),
            SqueezeExcitation(inside, reduction=4 * EXPANSION),
            he_conv(inside, out_channels, kernel_size=1),
            nn.BatchNorm2d(out_channels),
        )
        self.has_shortcut = in_channels == out_channels and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        return x + self.residual(x) if self.has_shortcut else self.residual(x)


class MBConvNet(nn.Module):
    """A 3x3 convolution, groups of MBConv blocks, a 1x1 convolution, average pooling, linear.

    The normalisation with CIFAR-100's statistics is its first layer. Images keep their full height
    and width through the first group.

    Args:
        stem_channels: The output channels of the first convolution.
        groups: The channels and the number of blocks of each group; every group but the first
            halves height and width.
        head_channels: The inputs of the linear layer.
        num_classes: The number of logits per image.
    """

    def __init__(
        self,
        stem_channels: int,
        groups: Sequence[tuple[int, int]],
        head_channels: int = 320,
        num_classes: int = 100,
    ) -> None:
        super().__init__()
        self.normalize = Normalize(CIFAR100_MEAN, CIFAR100_STD)
        self.features = nn.Sequential(
            he_conv(3, stem_channels, kernel_size=3),
            nn.BatchNorm2d(stem_channels),
            *block_groups(MBConvBlock, stem_channels, groups),
            he_conv(groups[-1][0], head_channels, kernel_size=1),
            nn.BatchNorm2d(head_channels),
            nn.SiLU(),
        )
        self.head = nn.Linear(head_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, num_classes)."""
        return self.head(self.features(self.normalize(images)).mean(dim=(2, 3)))
