"""Plain convolutional networks: the exercise's skeleton and its solution (A), and TinyNet (B).

ReLUs work in place: a hook that looks at a layer's output has to copy it.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv3x3_relu(in_channels: int, out_channels: int, *, pool: bool = False) -> list[nn.Module]:
    """A 3x3 convolution that keeps height and width (padding 1, with bias), then ReLU.

    With `pool`, 2x2 max pooling stands between the two: the same to the bit as behind the ReLU,
    which then has a quarter of the work.
    """
    return [
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
        *([nn.MaxPool2d(2)] if pool else []),
        nn.ReLU(inplace=True),
    ]


class SkeletonConvNet(nn.Module):
    """The exercise's starting point: two convolutions, one pooling (assignment A).

    42,362 parameters for 10 classes, and 40,970 of them sit in the last linear layer.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv3x3_relu(3, 8),
            *conv3x3_relu(8, 16, pool=True),  # 32x32 -> 16x16
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(16 * 16 * 16, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) in [0, 1] -> logits (N, num_classes)."""
        return self.head(self.features(images))


class ConvNet(nn.Module):
    """Five convolutions with a max and an average pooling (assignment A, "plain")."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv3x3_relu(3, 32),
            *conv3x3_relu(32, 32, pool=True),  # 32x32 -> 16x16
            *conv3x3_relu(32, 64),
            *conv3x3_relu(64, 64),
            *conv3x3_relu(64, 64),
            nn.AvgPool2d(2),  # 16x16 -> 8x8
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 8 * 8, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) in [0, 1] -> logits (N, num_classes)."""
        return self.head(self.features(images))


class TinyNet(nn.Module):
    """The network that assignment B hands out, most of it in one linear layer."""

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv3x3_relu(3, 32, pool=True),  # 32x32 -> 16x16
            *conv3x3_relu(32, 64, pool=True),  # 16x16 -> 8x8
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * 8 * 8, 128),
            nn.ReLU(),
            nn.Linear(128, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) in [0, 1] -> logits (N, num_classes)."""
        return self.head(self.features(images))
