"""Wide residual networks with squeeze-and-excitation.

Zagoruyko and Komodakis 2016 (arXiv:1605.07146); Hu et al. 2017 (arXiv:1709.01507).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from cifar_lab.data import CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.models.normalize import Normalize


def he_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps height and width but for the stride.

    Its weights are drawn from a normal distribution of variance 2 / (out_channels x kernel_size^2),
    which keeps gradients the same size through ReLUs (He et al. 2015, arXiv:1502.01852).
    """
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def block_groups(
    block: Callable[[int, int, int], nn.Module],
    in_channels: int,
    groups: Sequence[tuple[int, int]],
) -> list[nn.Module]:
    """Groups of blocks one after another; every group but the first halves height and width.

    Args:
        block: makes one from its channels going in, going out, and its stride.
        in_channels: going into the first.
        groups: (channels, blocks) of each.
    """
    layers: list[nn.Module] = []
    for group, (channels, blocks) in enumerate(groups):
        for number in range(blocks):
            stride = 2 if group > 0 and number == 0 else 1
            layers.append(block(in_channels, channels, stride))
            in_channels = channels
    return layers


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a gate in (0, 1) that is computed from all channels' means.

    Two small linear layers compute the gates: a look at the whole image for the cost of a few
    thousand multiplications.

    Args:
        channels: going in and out.
        reduction: the layer between the two has a share of 1 / reduction of the channels.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.gates = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, channels, H, W) -> features of the same shape."""
        return x * self.gates(x.mean(dim=(2, 3)))[:, :, None, None]


class WideBlock(nn.Module):
    """Twice batch norm, ReLU and a 3x3 convolution, then gates, added to a shortcut.

    The shortcut is the identity; where channels or size change, it is a 1x1 convolution of what the
    first batch norm and ReLU give, as in the paper's own code. The stride is the first 3x3
    convolution's.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            he_conv(in_channels, out_channels, kernel_size=3, stride=stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            he_conv(out_channels, out_channels, kernel_size=3),
            SqueezeExcitation(out_channels),
        )
        self.shortcut: nn.Module | None = None
        if in_channels != out_channels or stride != 1:
            self.shortcut = he_conv(in_channels, out_channels, kernel_size=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        activated = self.activate(x)
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.residual(activated)


class WideResNet(nn.Module):
    """A 3x3 convolution, groups of wide blocks, batch norm, ReLU, global average pooling, linear.

    Convolutions begin as `he_conv` says; linear layers and batch norms as PyTorch's do. The
    normalisation with CIFAR-100's statistics is its first layer.

    Args:
        stem_channels: that the first convolution gives.
        groups: (channels, blocks) of each; every group but the first halves height and width.
        num_classes: logits in the output.
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
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, 32, 32) in [0, 1] -> logits (N, num_classes)."""
        return self.head(self.features(self.normalize(images)).mean(dim=(2, 3)))
