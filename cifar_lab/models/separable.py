"""Depthwise-separable networks (assignment B; Howard et al. 2017, arXiv:1704.04861)."""

from __future__ import annotations

from torch import Tensor, nn

from cifar_lab.data.cifar import CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.models.layers.normalize import Normalize


class DSConvBlock(nn.Module):
    """A 3x3 depthwise and a 1x1 pointwise convolution, batch norm, ReLU, dropout of channels.

    A full 3x3 convolution has 9 x in x out weights. A depthwise one (9 x in), which combines
    neighbouring pixels, and a pointwise one (in x out), which combines channels, together have
    far fewer.

    Args:
        in_channels: The number of input channels.
        out_channels: The number of output channels.
        stride: The stride of the depthwise convolution.
        p_drop: The probability that dropout zeroes a channel.
        pool: Whether 2x2 max pooling follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        p_drop: float = 0.1,
        pool: bool = False,
    ) -> None:
        super().__init__()
        pointwise = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size=3,
            stride=stride,
            padding=1,
            groups=in_channels,
            bias=False,
        )
        self.layers = nn.Sequential(
            depthwise,
            pointwise,
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Dropout2d(p_drop),
            *([nn.MaxPool2d(2)] if pool else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, in, H, W) to (N, out, H, W), halved by a stride of 2 and by pooling."""
        return self.layers(x)


class SmallCIFARNet(nn.Module):
    """Six depthwise-separable blocks and global average pooling (assignment B).

    It has 765,055 parameters for 100 classes. The normalisation with CIFAR-100's statistics is its
    first layer.
    """

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        self.normalize = Normalize(CIFAR100_MEAN, CIFAR100_STD)
        self.features = nn.Sequential(
            DSConvBlock(3, 64, p_drop=0.05, pool=True),  # 32x32 -> 16x16
            DSConvBlock(64, 128, p_drop=0.10, pool=True),  # 16x16 -> 8x8
            DSConvBlock(128, 256, p_drop=0.15, pool=True),  # 8x8 -> 4x4
            DSConvBlock(256, 512, p_drop=0.20),
            DSConvBlock(512, 512, p_drop=0.20),
            DSConvBlock(512, 512, p_drop=0.20),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, num_classes)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, num_classes)."""
        return self.head(self.features(self.normalize(images)))
