"""What residual families share: convolutions after He, groups of blocks, gates on channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn


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
