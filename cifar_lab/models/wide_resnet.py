"""Wide residual networks with squeeze-and-excitation.

Zagoruyko and Komodakis 2016 (arXiv:1605.07146); Hu et al. 2017 (arXiv:1709.01507).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cifar_lab.data.cifar import CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.models.layers.blocks import SqueezeExcitation, block_groups, he_conv
from cifar_lab.models.layers.normalize import Normalize


class WideBlock(nn.Module):
    """Batch norm, ReLU and a 3x3 convolution twice, then gates, added to a shortcut.

    The shortcut is the identity; where channels or size change, it is a 1x1 convolution after the
    first batch norm and ReLU, as in the paper's own code. The first 3x3 convolution has the stride.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU())
        self.residual = nn.Sequential(
            he_conv(in_channels, out_channels, kernel_size=3, stride=stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            he_conv(out_channels, out_channels, kernel_size=3),
            SqueezeExcitation(out_channels),
        )
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels or stride != 1:
            self.shortcut = he_conv(in_channels, out_channels, kernel_size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        activated = self.activate(x)
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.residual(activated)


class WideResNet(nn.Module):
    """A 3x3 convolution, groups of wide blocks, batch norm, ReLU, global average pooling, linear.

    Convolutions are initialised by `he_conv`, linear layers and batch norms as PyTorch does by
    default. The normalisation with CIFAR-100's statistics is its first layer.

    Args:
        stem_channels: The output channels of the first convolution.
        groups: The channels and the number of blocks of each group; every group but the first
            halves height and width.
        num_classes: The number of logits per image.
    """

    def __init__(
        self, stem_channels: int, groups: Sequence[tuple[int, int]], num_classes: int = 100
    ) -> None:
        super().__init__()
        self.normalize = Normalize(CIFAR100_MEAN, CIFAR100_STD)
        channels = groups[-1][0]
        self.features = nn.Sequential(
            he_conv(3, stem_channels, kernel_size=3),
            *block_groups(WideBlock, stem_channels, groups),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, num_classes)."""
        return self.head(self.features(self.normalize(images)).mean(dim=(2, 3)))
