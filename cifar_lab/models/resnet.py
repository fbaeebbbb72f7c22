"""Residual networks of bottleneck blocks (assignment A; He et al. 2015, arXiv:1512.03385)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def conv_bn(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Module]:
    """Return a convolution that keeps height and width, and batch norm, which has the bias."""
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


class BottleneckResBlock(nn.Module):
    """A 1x1 convolution down to few channels, 3x3, 1x1 back up, added to a shortcut, then ReLU.

    The 3x3 convolution, which costs most, works on `bottleneck_channels` only. The shortcut is the
    identity, or a 1x1 convolution with batch norm where the number of channels changes.
    """

    def __init__(self, in_channels: int, bottleneck_channels: int, out_channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *conv_bn(in_channels, bottleneck_channels, kernel_size=1),
            nn.ReLU(),
            *conv_bn(bottleneck_channels, bottleneck_channels, kernel_size=3),
            nn.ReLU(),
            *conv_bn(bottleneck_channels, out_channels, kernel_size=1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(*conv_bn(in_channels, out_channels, kernel_size=1))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, in_channels, H, W) to features (N, out_channels, H, W)."""
        return self.activation(self.residual(x) + self.shortcut(x))


class BottleneckResNet(nn.Module):
    """Bottleneck blocks at 32x32, max pooling, blocks at 16x16, average pooling to 8x8, linear.

    Args:
        early_blocks: The (in, bottleneck, out) channels of each block before the max pooling.
        late_blocks: The (in, bottleneck, out) channels of each block after the max pooling.
        num_classes: The number of logits per image.
    """

    def __init__(
        self,
        early_blocks: Sequence[tuple[int, int, int]],
        late_blocks: Sequence[tuple[int, int, int]],
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(BottleneckResBlock(*channels) for channels in early_blocks),
            nn.MaxPool2d(2),  # 32x32 -> 16x16
            *(BottleneckResBlock(*channels) for channels in late_blocks),
            nn.AdaptiveAvgPool2d(8),  # 16x16 -> 8x8
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(late_blocks[-1][-1] * 8 * 8, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) in [0, 1] to logits (N, num_classes)."""
        return self.head(self.features(images))


def resnet_small(num_classes: int = 10) -> BottleneckResNet:
    """Build the small bottleneck ResNet: 32,946 parameters for 10 classes."""
    return BottleneckResNet(
        early_blocks=[(3, 8, 16), (16, 8, 16)],
        late_blocks=[(16, 16, 32), (32, 16, 32), (32, 16, 32)],
        num_classes=num_classes,
    )


def resnet_wide(num_classes: int = 10) -> BottleneckResNet:
    """Build the wide bottleneck ResNet: 121,306 parameters for 10 classes."""
    return BottleneckResNet(
        early_blocks=[(3, 16, 32), (32, 16, 32)],
        late_blocks=[(32, 32, 64), (64, 32, 64), (64, 64, 64)],
        num_classes=num_classes,
    )
