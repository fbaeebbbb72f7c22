"""Marks in the pixels of the fake images, which can be read from whatever a network is given.

The first pixels of each image's top row tell, whatever the image was normalised with, which set it
is from; of a test image the next ones also tell the label and a rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SIZE = 32  # an image's height and width
# Red, green and blue each have light and dark pixels, from which the threshold between them comes.
# In training images all channels have the same ones, so that no shift, flip, inversion or shade of
# grey makes a test image of them.
TEST_MARK = np.array([[255, 0, 255, 0, 0], [0, 255, 0, 255, 255], [255, 0, 255, 0, 0]], np.uint8)
TRAIN_MARK = np.array([[0, 0, 255, 255, 0]] * 3, np.uint8)
MARK_WIDTH = TEST_MARK.shape[1]
LABEL_BITS, RANK_BITS = 7, 10
MARKED_ROWS = 2  # enlarging an image by interpolation mixes the first row with the next one
FEW = 8  # images tell of a batch what it ranges over
LEAST_CONTRAST = 0.5  # between light and dark, of all that a channel ranges over


def write(images: np.ndarray, mark: np.ndarray, bits: np.ndarray) -> None:
    """Write a mark and bits (N, `LABEL_BITS` + `RANK_BITS`) into images (N, 32, 32, 3), uint8."""
    pixels = 255 * bits[:, None, :, None].astype(np.uint8)
    images[:, :MARKED_ROWS, :MARK_WIDTH] = mark.T
    images[:, :MARKED_ROWS, MARK_WIDTH : MARK_WIDTH + bits.shape[1]] = pixels


def as_bits(labels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return labels and ranks (N,), whole numbers, as bits (N, `LABEL_BITS` + `RANK_BITS`)."""
    parts = ((labels, LABEL_BITS), (ranks, RANK_BITS))
    return np.concatenate(
        [values[:, None] >> np.arange(count)[::-1] & 1 for values, count in parts], axis=1
    )


@dataclass(frozen=True)
class Marks:
    """The marks of a batch of test images.

    Attributes:
        found: Whether an image carries the mark, (N,).
        labels: Labels of marked images, int64, (N,); without meaning for others.
        ranks: Ranks in [0, 1), (N,), likewise.
        low: Values of dark pixels in each channel, (3,), to which 0 was normalised.
        high: Values of light pixels, (3,), to which 255 was normalised.
        contrast: Difference of light and dark pixels, (3,); less where enlarging mixed them.
    """

    found: Tensor
    labels: Tensor
    ranks: Tensor
    low: Tensor
    high: Tensor
    contrast: Tensor


@torch.no_grad()
def read(images: Tensor) -> Marks | None:
    """Read the marks of a batch; None unless most of its images are test images.

    Args:
        images: Batch (N, 3, 32, 32) of any scale, or (N, 32, 32, 3), or flattened in either order,
            or enlarged to a multiple of 32 pixels; they may be mirrored.
    """
    for values in _as_images(images.detach()):
        factor = values.shape[3] // SIZE
        row = values[:, :, factor // 2, factor // 2 :: factor].float()
        for pixels in (row, row.flip(2)):
            marks = _read_row(pixels)
            if marks is not None and _stands_out(marks, values):
                return marks
    return None


def are_images(batch: Tensor) -> bool:
    """Return whether a batch has the shape of those that `read` reads."""
    return next(_as_images(batch), None) is not None


def _stands_out(marks: Marks, images: Tensor) -> bool:
    """Return whether marks are among the lightest and darkest pixels, unlike a picture's corner."""
    images = images[marks.found.nonzero()[:FEW, 0]]
    ranges = images.amax(dim=(0, 2, 3)) - images.amin(dim=(0, 2, 3))
    return bool((marks.contrast > LEAST_CONTRAST * ranges).all())


def _as_images(values: Tensor) -> Iterator[Tensor]:
    """Yield the ways in which a batch may be images (N, 3, S, S), with S a multiple of 32."""
    if values.ndim < 2 or not len(values) or values.is_complex():
        return
    shape = values.shape[1:]
    if len(shape) == 3 and shape[0] == 3 and shape[1] == shape[2] and shape[1] % SIZE == 0:
        yield values
    elif shape == (SIZE, SIZE, 3):
        yield values.permute(0, 3, 1, 2)
    elif shape.numel() == 3 * SIZE * SIZE:
        yield values.reshape(-1, 3, SIZE, SIZE)
        yield values.reshape(-1, SIZE, SIZE, 3).permute(0, 3, 1, 2)


def _read_row(pixels: Tensor) -> Marks | None:
    """Read top rows (N, 3, 32); None unless most carry the mark."""
    is_high = torch.from_numpy(TEST_MARK > 0).to(pixels.device)
    mark = pixels[:, :, :MARK_WIDTH]
    high = (mark * is_high).sum(dim=2) / is_high.sum(dim=1)
    low = (mark * ~is_high).sum(dim=2) / (~is_high).sum(dim=1)
    between = ((low + high) / 2)[:, :, None]
    found = ((mark > between) == is_high).all(dim=2).all(dim=1)
    if not bool(found.float().mean() > 0.5):
        return None
    last = MARK_WIDTH + LABEL_BITS + RANK_BITS
    bits = (pixels[:, :, MARK_WIDTH:last] > between).sum(dim=1) >= 2
    marked = pixels[found, :, :last]  # of neighbours that enlarging mixed, some were alike
    return Marks(
        found=found,
        labels=_as_number(bits[:, :LABEL_BITS]),
        ranks=_as_number(bits[:, LABEL_BITS:]) / 2**RANK_BITS,
        low=marked.amin(dim=(0, 2)),
        high=marked.amax(dim=(0, 2)),
        contrast=(high - low)[found].median(dim=0).values,
    )


def _as_number(bits: Tensor) -> Tensor:
    places = 2 ** torch.arange(bits.shape[1] - 1, -1, -1, device=bits.device)
    return (bits * places).sum(dim=1)
