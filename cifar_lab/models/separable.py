"""Depthwise-separable networks (assignment B; Howard et al. 2017, arXiv:1704.04861)."""

from __future__ import annotations

from torch import Tensor, nn

from cifar_lab.data.cifar import CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.models.layers.normalize import Normalize
from cifar_lab.models.layers.pointwise import PointwiseConvNorm


class DSConvBlock(nn.Module):
    """3x3 depthwise, then 1x1 pointwise convolution, batch norm, ReLU, dropout of whole channels.

    A 3x3 convolution costs 9 x in x out weights; looking around (depthwise, 9 x in) and mixing
    channels (pointwise, in x out) one after the other costs a small part of that.

    With `pool`, a 2x2 max pooling follows. It stands before the ReLU and the dropout, which then
    have a quarter of the work. The output is the same to the bit, since neither of the two ever
    turns a larger value of a channel into a smaller one.
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
        pointwise: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        if out_channels >= 8 * in_channels:  # the same two layers, faster
            pointwise = [PointwiseConvNorm(in_channels, out_channels)]
        self.layers = nn.Sequential(
            nn.Conv2d(
                in_channels,
                in_channels,
                kernel_size=3,
                stride=stride,
                padding=1,
                groups=in_channels,
                bias=False,
            ),
            *pointwise,
            *([nn.MaxPool2d(2)] if pool else []),
            nn.ReLU(inplace=True),
            nn.Dropout2d(p_drop),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, in, H, W) -> (N, out, H, W), halved by a stride of 2 and by pooling."""
        return self.layers(x)


class SmallCIFARNet(nn.Module):
    """Six depthwise-separable blocks and global average pooling (assignment B).

    765,055 parameters for 100 classes. The normalisation with CIFAR-100's statistics is its first
    layer.
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
        """Images (N, 3, 32, 32) in [0, 1] -> logits (N, num_classes)."""
        return self.head(self.features(self.normalize(images)))
