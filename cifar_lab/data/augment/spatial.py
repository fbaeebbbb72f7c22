"""Spatial changes with parameters for every image: crop, flip, erase.

The dataclasses draw the parameters as torchvision's transforms of the same names do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cifar_lab.data.augment.common import (
    check_images,
    check_number,
    check_range,
    take_plain_numbers,
    uniform,
)
from cifar_lab.utils.devices import to_device
from cifar_lab.utils.errors import unknown_name

PADDING_MODES = ("constant", "reflect")


def crop(images: Tensor, top: Tensor, left: Tensor, padding: int, mode: str = "constant") -> Tensor:
    """Pad the images, then crop a window of their original size at each image's (top, left).

    Args:
        images: The images (N, C, H, W).
        top: The window's first row in the padded image, (N,), int64, in [0, 2 * padding].
        left: The window's first column in the padded image, (N,), int64, in [0, 2 * padding].
        padding: The number of pixels that are added on each side.
        mode: "constant" pads with zeros, "reflect" with the image, mirrored at its edge.
    """
    height, width = images.shape[2:]
    padded = functional.pad(images, [padding] * 4, mode=mode).permute(0, 2, 3, 1)
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # a view: N, top, left, C, H, W
    number = torch.arange(len(images), device=images.device)
    top, left = (to_device(place, images.device) for place in (top, left))
    cropped = windows.permute(0, 1, 2, 4, 5, 3)[number, top, left].permute(0, 3, 1, 2)
    return cropped.contiguous(memory_format=torch.channels_last)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the images where `chosen`, (N,), bool, is True: left becomes right."""
    chosen = to_device(chosen, images.device).view(-1, 1, 1, 1)
    flipped = torch.where(chosen, images.flip(3), images)
    return flipped.contiguous(memory_format=torch.channels_last)


def erase(
    images: Tensor,
    top: Tensor,
    left: Tensor,
    height: Tensor,
    width: Tensor,
    value: float | tuple[float, ...] = 0.0,
) -> Tensor:
    """Fill one rectangle in each image.

    Args:
        images: The images (N, C, H, W).
        top: The rectangle's first row in each image, (N,).
        left: The rectangle's first column in each image, (N,).
        height: The rectangle's height in each image, (N,); 0 leaves the image as it is.
        width: The rectangle's width in each image, (N,).
        value: The number to fill with, or one for each channel.
    """
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    top, left, bottom, right = (
        to_device(edge, images.device).unsqueeze(1)
        for edge in (top, left, top + height, left + width)
    )
    inside_rows = (rows >= top) & (rows < bottom)
    inside_columns = (columns >= left) & (columns < right)
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    fill = to_device(torch.tensor(value, dtype=images.dtype), images.device).view(1, -1, 1, 1)
    return torch.where(inside, fill, images).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class RandomCrop:
    """A random shift of each image by up to `padding` pixels in both directions.

    It is torchvision's `RandomCrop(size, padding, padding_mode=...)` with the image's own size.

    Attributes:
        padding: The largest shift, in pixels.
        padding_mode: "constant" fills the gap with black, "reflect" with the mirrored image.

    Raises:
        TypeError: The padding is not a whole number.
        ValueError: The padding is negative, or the mode unknown.
    """

    padding: int = 4
    padding_mode: str = "constant"

    def __post_init__(self) -> None:
        take_plain_numbers(self)
        check_number("padding", self.padding, 0)
        if not isinstance(self.padding, int):
            raise TypeError(f"padding is {self.padding!r}; expected a whole number of pixels.")
        if self.padding_mode not in PADDING_MODES:
            raise unknown_name("padding_mode", self.padding_mode, PADDING_MODES)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape."""
        check_images(images)
        return crop(images, *self.draw(len(images), generator), self.padding, self.padding_mode)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw the top and left of `count` windows, each uniform in [0, 2 * padding]."""
        top, left = torch.randint(
            2 * self.padding + 1, (2, count), generator=generator, device=generator.device
        )
        return top, left


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """A random flip: each image is mirrored, left to right, with probability `p`.

    Attributes:
        p: The probability, in [0, 1].

    Raises:
        ValueError: The probability is outside [0, 1].
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        take_plain_numbers(self)
        check_number("p", self.p, 0, 1)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape."""
        check_images(images)
        return flip(images, uniform((len(images),), 0, 1, generator) < self.p)


@dataclass(frozen=True)
class RandomErasing:
    """Random erasing: a random rectangle of each image is filled, with probability `p`.

    Zhong et al., 2017, https://arxiv.org/abs/1708.04896, drawn as torchvision's `RandomErasing`
    draws. In torchvision's usual pipeline the rectangle is 0 after normalisation, which is the
    dataset's mean colour. These images are in [0, 1] and the model normalises them later, so set
    `value` to the mean of each channel for the same effect; a value of 0 here is black.

    Attributes:
        p: The probability, in [0, 1].
        scale: The smallest and the largest share of the image's area, in [0, 1].
        ratio: The smallest and the largest height / width, in [0.001, 1000].
        value: The colour to fill with, in [0, 1]: one number, or one for each of the 3 channels.

    Raises:
        TypeError: A range is not a pair of numbers.
        ValueError: The probability, a range or the colour is out of bounds.
    """

    p: float = 0.25
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        take_plain_numbers(self)
        check_number("p", self.p, 0, 1)
        check_range("scale", self.scale, 0, 1)
        check_range("ratio", self.ratio, 1e-3, 1e3)
        if isinstance(self.value, tuple) and len(self.value) != 3:
            raise ValueError(
                f"value is {self.value}; expected one number, or 3: one for each channel."
            )
        for number in self.value if isinstance(self.value, tuple) else (self.value,):
            check_number("value", number, 0, 1)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape."""
        check_images(images)
        count, _, height, width = images.shape
        return erase(images, *self.draw(count, height, width, generator), self.value)

    def draw(
        self, count: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw top, left, height and width of a rectangle for each of `count` images.

        Of ten rectangles the first one that fits into the image is taken. Height and width are 0
        where none fits, and in images that are left as they are.
        """
        area = uniform((count, 10), *self.scale, generator) * (height * width)
        low, high = (math.log(bound) for bound in self.ratio)
        ratio = uniform((count, 10), low, high, generator).exp()
        heights, widths = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (heights < height) & (widths < width)
        first = fits.int().argmax(dim=1, keepdim=True)
        chosen = uniform((count, 1), 0, 1, generator) < self.p
        kept = (chosen & fits.gather(1, first)).squeeze(1)
        tall = heights.gather(1, first).squeeze(1) * kept
        wide = widths.gather(1, first).squeeze(1) * kept
        top = uniform((count,), 0, 1, generator) * (height - tall + 1)
        left = uniform((count,), 0, 1, generator) * (width - wide + 1)
        return top.long(), left.long(), tall.long(), wide.long()
