"""Residual networks of bottleneck blocks (assignment A; He et al. 2015, arXiv:1512.03385).

ReLUs and additions work in place. A hook that looks at a layer's output has to copy it, and one on
gradients belongs on a whole block.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cifar_lab.models.layers.batch_norm import NARROW, NarrowBatchNorm2d


def conv_bn(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Module]:
    """A convolution that keeps height and width, without bias since batch norm brings one."""
    norm = NarrowBatchNorm2d if out_channels < NARROW else nn.BatchNorm2d
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        norm(out_channels),
    ]


class BottleneckResBlock(nn.Module):
    """1x1 down to few channels, 3x3 among the few, 1x1 up again, added to a shortcut, then ReLU.

    The 3x3 convolution, where the cost is, works on `bottleneck_channels` only. The shortcut is the
    identity, or a 1x1 convolution with batch norm where the number of channels changes.
    """

    def __init__(self, in_channels: int, bottleneck_channels: int, out_channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *conv_bn(in_channels, bottleneck_channels, kernel_size=1),
            nn.ReLU(inplace=True),
            *conv_bn(bottleneck_channels, bottleneck_channels, kernel_size=3),
            nn.ReLU(inplace=True),
            *conv_bn(bottleneck_channels, out_channels, kernel_size=1),
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(*conv_bn(in_channels, out_channels, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, in_channels, H, W) -> features (N, out_channels, H, W)."""
        out = self.residual(x)
        out += self.shortcut(x)  # in place, as the ReLU: less memory to go through
        return out.relu_()


class BottleneckResNet(nn.Module):
    """Bottleneck blocks at 32x32, max pooling, blocks at 16x16, average pooling to 8x8, linear.

    Args:
        early_blocks: (in, bottleneck, out) channels of each block before the pooling.
        late_blocks: the same for each block after it.
        num_classes: logits in the output.
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
        """Images (N, 3, 32, 32) in [0, 1] -> logits (N, num_classes)."""
        return self.head(self.features(images))


def resnet_small(num_classes: int = 10) -> BottleneckResNet:
    """The small bottleneck ResNet: 32,946 parameters for 10 classes."""
    return BottleneckResNet(
        early_blocks=[(3, 8, 16), (16, 8, 16)],
        late_blocks=[(16, 16, 32), (32, 16, 32), (32, 16, 32)],
        num_classes=num_classes,
    )


def resnet_wide(num_classes: int = 10) -> BottleneckResNet:
    """The wide bottleneck ResNet: 121,306 parameters for 10 classes."""
    return BottleneckResNet(
        early_blocks=[(3, 16, 32), (32, 16, 32)],
        late_blocks=[(32, 32, 64), (64, 32, 64), (64, 64, 64)],
        num_classes=num_classes,
    )
