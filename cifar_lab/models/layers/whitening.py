"""A first layer computed from the training images, not learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 5e-4  # added to each variance, so that faint directions are not blown up into noise


class Whitening(nn.Module):
    """A convolution with fixed filters that makes what it gives uncorrelated and of equal variance.

    That holds for images of about zero mean: put a `Normalize` before it.

    Neighbouring pixels are nearly the same, so the differences between them, where edges are, are
    faint beside the brightness. The filters are the principal directions of all small patches of
    the training images, each divided by its standard deviation; each comes with both signs, so that
    nothing is lost in the nonlinearity behind. Only a bias is learnt.

    Before `compute_from` the filters are random. `fit` calls it with images from the training set,
    once for each model.

    Args:
        kernel_size: of the patches; 2 gives 2 x 3 x 2 x 2 = 24 filters.
        in_channels: colours of an image.

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
        """Channels that it gives."""
        return self.conv.out_channels

    @torch.no_grad()
    def compute_from(self, images: Tensor) -> None:
        """Set the filters from images (N, C, H, W) as they come into this layer, about centred."""
        patches = functional.unfold(images.float(), self.conv.kernel_size)  # N, C x k x k, places
        patches = patches.transpose(1, 2).flatten(0, 1)
        moments = (patches.T @ patches / len(patches)).cpu().double()  # not each device has eigh
        variances, directions = torch.linalg.eigh(moments)
        filters = directions.T / (variances + EPSILON).sqrt().unsqueeze(1)
        filters = filters.flip(0).view(
            -1, *self.conv.weight.shape[1:]
        )  # the largest variance first
        self.conv.weight.copy_(torch.cat([filters, -filters]))
        self.conv.bias.zero_()  # type: ignore[union-attr]
        self.computed.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> (N, 2 C k k, H - k + 1, W - k + 1)."""
        return self.conv(x)
