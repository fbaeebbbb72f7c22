"""A first layer whose filters are computed from the training images, not learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 5e-4  # added to each variance, so that noise in faint directions is not amplified


class Whitening(nn.Module):
    """A convolution with fixed filters whose outputs are uncorrelated and of equal variance.

    That holds for images of about zero mean: put a `Normalize` before it.

    Neighbouring pixels are nearly equal, so the differences between them, where edges are, are
    faint compared with the brightness. The filters are the principal directions of all small
    patches of the training images, each divided by its standard deviation. Each filter comes with
    both signs, so that the nonlinearity after it loses nothing. Only a bias is learnt.

    The filters are random until `compute_from` is called. `fit` calls it with training images,
    once for each model.

    Args:
        kernel_size: The patches' height and width in pixels; 2 gives 2 x 3 x 2 x 2 = 24 filters.
        in_channels: The number of an image's channels.

    Source: Coates and Ng 2012 (Learning feature representations with k-means); as a fixed first
    layer, Page 2019 (How to train your ResNet).
    """

    computed: Tensor

    def __init__(self, kernel_size: int = 2, in_channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 2 * in_channels * kernel_size**2, kernel_size)
        self.conv.weight.requires_grad_(False)
        self.register_buffer("computed", torch.tensor(False))

    @property
    def out_channels(self) -> int:
        """Return the number of output channels."""
        return self.conv.out_channels

    @torch.no_grad()
    def compute_from(self, images: Tensor) -> None:
        """Compute the filters from this layer's inputs: images (N, C, H, W) of about zero mean."""
        variances, directions = torch.linalg.eigh(second_moments(images, self.conv.kernel_size))
        filters = directions.T / (variances + EPSILON).sqrt().unsqueeze(1)
        filters = filters.flip(0).view(
            -1, *self.conv.weight.shape[1:]
        )  # the largest variance first
        self.conv.weight.copy_(torch.cat([filters, -filters]))
        self.conv.bias.zero_()  # type: ignore[union-attr]
        self.computed.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, 2 C k k, H - k + 1, W - k + 1)."""
        return self.conv(x)


def second_moments(images: Tensor, kernel_size: tuple[int, ...]) -> Tensor:
    """Return the mean products of the numbers in all small patches of images (N, C, H, W)."""
    patches = functional.unfold(images.float(), kernel_size)  # N, C x k x k, places
    patches = patches.transpose(1, 2).flatten(0, 1)
    return (patches.T @ patches / len(patches)).cpu().double()  # some devices lack eigh
