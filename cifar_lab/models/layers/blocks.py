"""Parts that residual families share: He's initialisation, groups of blocks, gates on channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn


def he_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias; only its stride changes height and width.

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
    """Return groups of blocks in sequence; every group but the first halves height and width.

    Args:
        block: Builds a block from its input channels, output channels and stride.
        in_channels: The input channels of the first block.
        groups: The channels and the number of blocks of each group.
    """
    layers: list[nn.Module] = []
    for group, (channels, blocks) in enumerate(groups):
        for number in range(blocks):
            stride = 2 if group > 0 and number == 0 else 1
            layers.append(block(in_channels, channels, stride))
            in_channels = channels
    return layers


class SqueezeExcitation(nn.Module):
    """A gate in (0, 1) on each channel, computed from the means of all channels.

    Two small linear layers compute the gates from the whole image, for the cost of a few thousand
    multiplications.

    Args:
        channels: The number of channels.
        reduction: The hidden layer has `channels // reduction` units, at least one.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.gates = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.ReLU(),
            nn.Linear(hidden, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, channels, H, W) to features of the same shape."""
        return x * self.gates(x.mean(dim=(2, 3)))[:, :, None, None]
