"""Colour changes with one parameter per image, and the random colour jitter.

The functions follow torchvision's `adjust_*` for tensors, clamping included. They take images
(N, 3, H, W), floats in [0, 1] or uint8, and one factor per image, (N,). They are fastest where each
channel's plane is contiguous in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cifar_lab.data.augment.common import check_images, check_number, take_plain_numbers, uniform
from cifar_lab.utils.devices import to_device


def to_gray(images: Tensor) -> Tensor:
    """Return the luma of each pixel, (N, 1, H, W), in the images' type."""
    red, green, blue = images.split(1, dim=1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).to(images.dtype)


def blend(images: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    """Return `factor * image + (1 - factor) * other`, clamped to the range of the images' type."""
    as_float = images.dtype if images.is_floating_point() else torch.float32
    factors = factors.view(-1, 1, 1, 1)
    mixed = images * to_device(factors.to(as_float), images.device)
    mixed += other * to_device((1 - factors).to(as_float), images.device)
    return mixed.clamp_(0, 1 if images.is_floating_point() else 255).to(images.dtype)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply every pixel; 0 gives black, 1 the image."""
    return blend(images, torch.zeros_like(images[:, :1]), factors)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Move every pixel from the image's mean gray; 0 gives that gray, 1 the image."""
    gray = to_gray(images)
    if not gray.is_floating_point():
        gray = gray.to(torch.float32)
    return blend(images, gray.mean(dim=(1, 2, 3), keepdim=True), factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Move every pixel from its own gray; 0 gives the gray image, 1 the image."""
    return blend(images, to_gray(images), factors)


def adjust_hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Turn the hue of float images by a share of the colour circle, in [-0.5, 0.5]; 0 keeps it.

    The result is that of torchvision's conversion to HSV and back, in closed form: saturation is
    chroma / value, so RGB is value - chroma * ramp, where a channel's ramp is 0 within a sixth of
    the circle from its own colour, 1 beyond two sixths and linear between. This needs neither the
    saturation nor the textbook's six cases.
    """
    red, green, blue = images.unbind(dim=1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp(min=torch.finfo(images.dtype).tiny)  # a gray's hue is 0 / tiny
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    hue = (sixths / 6 + shifts.to(images.dtype).view(-1, 1, 1)).unsqueeze(1)
    own_hues = torch.arange(3, dtype=images.dtype, device=images.device) / 3
    turn = hue - own_hues.view(3, 1, 1)
    turn -= turn.round()  # in [-1/2, 1/2]: how far the hue is from the channel's own
    ramp = turn.abs_().mul_(6).sub_(1).clamp_(0, 1)
    return value.unsqueeze(1) - ramp.mul_(chroma.unsqueeze(1))


ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


def jitter(images: Tensor, factors: tuple[Tensor | None, ...], order: Tensor) -> Tensor:
    """Apply the four `ADJUSTMENTS` to each image in that image's order; new images, channels-last.

    Args:
        images: The images (N, 3, H, W), floats in [0, 1].
        factors: The factor of each adjustment for every image, (N,), or None to leave it out.
        order: A permutation of 0 to 3 for every image, (N, 4): the adjustments' order.
    """
    result = images.clone(memory_format=torch.contiguous_format)
    strengths = [None if each is None else to_device(each, images.device) for each in factors]
    places = order.cpu().T  # the host must know how many images each adjustment is for
    grouped = to_device(places.argsort(dim=1, stable=True), images.device)
    for place, group in zip(places, grouped, strict=True):
        parts = group.split(place.bincount(minlength=len(ADJUSTMENTS)).tolist())
        for adjust, factor, chosen in zip(ADJUSTMENTS, strengths, parts, strict=True):
            if factor is not None:
                part = result.index_select(0, chosen)
                result.index_copy_(0, chosen, adjust(part, factor[chosen]))
    return result.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class ColorJitter:
    """A random change of each image's brightness, contrast, saturation and hue, in random order.

    It draws as torchvision's `ColorJitter`: the first three factors are uniform in
    [max(0, 1 - strength), 1 + strength], the shift of the hue in [-hue, hue]. A strength of 0
    leaves that change out.

    Attributes:
        brightness: The strength of the change of brightness, at least 0.
        contrast: The strength of the change of contrast, at least 0.
        saturation: The strength of the change of saturation, at least 0.
        hue: The largest shift of the hue, in [0, 0.5], as a share of the colour circle.

    Raises:
        ValueError: A strength is outside its range.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.02

    def __post_init__(self) -> None:
        take_plain_numbers(self)
        for name in ("brightness", "contrast", "saturation"):
            check_number(name, getattr(self, name), 0)
        check_number("hue", self.hue, 0, 0.5)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape."""
        check_images(images)
        return jitter(images, *self.draw(len(images), generator))

    def draw(
        self, count: int, generator: torch.Generator
    ) -> tuple[tuple[Tensor | None, ...], Tensor]:
        """Draw the factors and the order for `count` images, as `jitter` takes them."""
        strengths = (self.brightness, self.contrast, self.saturation)
        ranges = [(max(0.0, 1 - strength), 1 + strength) for strength in strengths]
        factors = tuple(
            uniform((count,), low, high, generator) if high > low else None
            for low, high in [*ranges, (-self.hue, self.hue)]
        )
        return factors, uniform((count, 4), 0, 1, generator).argsort(dim=1)
