"""TrivialAugment: one random operation of random strength for each image.

Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation", 2021,
https://arxiv.org/abs/2103.10158, with the wide range of strengths, as torchvision's
`TrivialAugmentWide`. Operations work on pixels (N, 3, H, W), uint8, with one magnitude per image,
(N,), float64 on the CPU, so that rounding is the same for every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cifar_lab.data.augment import color
from cifar_lab.data.augment.common import check_images
from cifar_lab.utils.devices import to_device


def warp(pixels: Tensor, matrices: Tensor) -> Tensor:
    """Return images whose pixel at (x, y) is the one nearest to matrix @ (x, y, 1) in the input.

    The origin is the centre of the image, x points right, y down. Pixels from outside are 0.

    Args:
        pixels: The images (N, C, H, W), uint8.
        matrices: One matrix per image, (N, 2, 3).
    """
    count, channels, height, width = pixels.shape
    entries = to_device(matrices.to(torch.float32), pixels.device).view(count, 6, 1, 1)
    x = torch.arange(width, device=pixels.device) - (width - 1) / 2
    y = torch.arange(height, device=pixels.device).view(-1, 1) - (height - 1) / 2
    source_x = entries[:, 0] * x + entries[:, 1] * y + entries[:, 2]
    source_y = entries[:, 3] * x + entries[:, 4] * y + entries[:, 5]
    column = (source_x + (width - 1) / 2).round_().long()
    row = (source_y + (height - 1) / 2).round_().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = (row * width + column).masked_fill_(~inside, 0).view(count, 1, -1)
    moved = pixels.flatten(2).gather(2, index.expand(-1, channels, -1)).view_as(pixels)
    return moved * inside.unsqueeze(1)


def _matrices(count: int, *entries: Tensor | float) -> Tensor:
    """Return six entries, each a number or one per image, as matrices (count, 2, 3)."""
    columns = [torch.as_tensor(entry, dtype=torch.float64).expand(count) for entry in entries]
    return torch.stack(columns, dim=1).view(count, 2, 3)


def shear_x(pixels: Tensor, slopes: Tensor) -> Tensor:
    """Move each row left by slope times its distance from the top edge."""
    offset = slopes * pixels.shape[2] / 2
    return warp(pixels, _matrices(len(pixels), 1, slopes, offset, 0, 1, 0))


def shear_y(pixels: Tensor, slopes: Tensor) -> Tensor:
    """Move each column up by slope times its distance from the left edge."""
    offset = slopes * pixels.shape[3] / 2
    return warp(pixels, _matrices(len(pixels), 1, 0, 0, slopes, 1, offset))


def translate_x(pixels: Tensor, distances: Tensor) -> Tensor:
    """Move to the right by whole pixels; a fraction is cut off."""
    return warp(pixels, _matrices(len(pixels), 1, 0, -distances.trunc(), 0, 1, 0))


def translate_y(pixels: Tensor, distances: Tensor) -> Tensor:
    """Move down by whole pixels; a fraction is cut off."""
    return warp(pixels, _matrices(len(pixels), 1, 0, 0, 0, 1, -distances.trunc()))


def rotate(pixels: Tensor, degrees: Tensor) -> Tensor:
    """Rotate counter-clockwise about the centre."""
    angles = degrees * (math.pi / 180)
    cos, sin = angles.cos(), angles.sin()
    return warp(pixels, _matrices(len(pixels), cos, -sin, 0, sin, cos, 0))


def sharpen(pixels: Tensor, factors: Tensor) -> Tensor:
    """Blend with the 3 x 3 blur; 0 gives the blur, 1 the image, 2 sharpens. The edge stays."""
    blurred = pixels.clone()
    inner = pixels[:, :, 1:-1, 1:-1].float()
    if inner.numel():  # the blur's weights are 5/13 at the centre and 1/13 around it
        total = 9 * functional.avg_pool2d(pixels.float(), 3, stride=1) + 4 * inner
        blurred[:, :, 1:-1, 1:-1] = (total / 13).round_().to(torch.uint8)
    return color.blend(pixels, blurred, factors)


def posterize(pixels: Tensor, bits: Tensor) -> Tensor:
    """Keep only the highest bits of every value, from 0 to 8 of them."""
    masks = (256 - 2 ** (8 - bits)).to(torch.uint8).view(-1, 1, 1, 1)
    return pixels & to_device(masks, pixels.device)


def solarize(pixels: Tensor, thresholds: Tensor) -> Tensor:
    """Invert every value at or above the threshold, in [0, 255]."""
    thresholds = to_device(thresholds.to(torch.float32), pixels.device).view(-1, 1, 1, 1)
    return torch.where(pixels >= thresholds, 255 - pixels, pixels)


def autocontrast(pixels: Tensor) -> Tensor:
    """Stretch each channel to the whole range; a channel of one value stays."""
    low = pixels.amin(dim=(2, 3), keepdim=True).float()
    high = pixels.amax(dim=(2, 3), keepdim=True).float()
    flat = low == high
    scale = torch.where(flat, 1, 255 / (high - low))
    return ((pixels - torch.where(flat, 0, low)) * scale).clamp_(0, 255).to(torch.uint8)


def equalize(pixels: Tensor) -> Tensor:
    """Make each channel's histogram as even as a table of its 256 values can."""
    values = pixels.flatten(2).long()
    counts = values.new_zeros(*values.shape[:2], 256)
    counts.scatter_add_(2, values, torch.ones_like(values))
    of_highest = counts.gather(2, values.amax(dim=2, keepdim=True))
    step = (values.shape[2] - of_highest) // 255
    below = counts.cumsum(dim=2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table[:, :, 0] = 0
    return torch.where(step > 0, table.gather(2, values), values).to(torch.uint8).view_as(pixels)


BINS = 31
"""The number of an operation's strengths, evenly spaced from the weakest to the strongest."""

Operation = Callable[[Tensor, Tensor], Tensor]
_UP_TO_ONE = torch.linspace(0, 0.99, BINS)

# Each name's operation, its magnitudes, and whether the sign is drawn too; in torchvision's order.
OPERATIONS: dict[str, tuple[Operation, Tensor, bool]] = {
    "identity": (lambda pixels, _: pixels, torch.zeros(BINS), False),
    "shear_x": (shear_x, _UP_TO_ONE, True),
    "shear_y": (shear_y, _UP_TO_ONE, True),
    "translate_x": (translate_x, torch.linspace(0, 32, BINS), True),
    "translate_y": (translate_y, torch.linspace(0, 32, BINS), True),
    "rotate": (rotate, torch.linspace(0, 135, BINS), True),
    "brightness": (lambda pixels, m: color.adjust_brightness(pixels, 1 + m), _UP_TO_ONE, True),
    "color": (lambda pixels, m: color.adjust_saturation(pixels, 1 + m), _UP_TO_ONE, True),
    "contrast": (lambda pixels, m: color.adjust_contrast(pixels, 1 + m), _UP_TO_ONE, True),
    "sharpness": (lambda pixels, m: sharpen(pixels, 1 + m), _UP_TO_ONE, True),
    "posterize": (posterize, 8 - (torch.arange(BINS) / 5).round(), False),
    "solarize": (solarize, torch.linspace(255, 0, BINS), False),
    "autocontrast": (lambda pixels, _: autocontrast(pixels), torch.zeros(BINS), False),
    "equalize": (lambda pixels, _: equalize(pixels), torch.zeros(BINS), False),
}


def apply_operations(images: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Apply one operation to each image and return new images, channels-last.

    Args:
        images: The images (N, 3, H, W), floats in [0, 1]; the result is rounded to 256 levels.
        operations: The position in `OPERATIONS` for each image, (N,), int64 on the CPU.
        magnitudes: The signed strength for each image in the operation's own unit, (N,), float64
            on the CPU.
    """
    pixels = (images * 255).round_().to(torch.uint8, memory_format=torch.contiguous_format)
    on_cpu = operations.argsort(stable=True)
    counts = operations.bincount(minlength=len(OPERATIONS)).tolist()
    parts = zip(on_cpu.split(counts), to_device(on_cpu, images.device).split(counts), strict=True)
    for (operation, _, _), (places, chosen) in zip(OPERATIONS.values(), parts, strict=True):
        if len(places):
            part = pixels.index_select(0, chosen)
            pixels.index_copy_(0, chosen, operation(part, magnitudes[places]))
    return (pixels.to(images.dtype) / 255).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class TrivialAugment:
    """TrivialAugment: one of 14 `OPERATIONS` at one of 31 strengths, drawn uniformly per image.

    It is torchvision's `TrivialAugmentWide` with interpolation to the nearest pixel and black
    outside the image. The result is rounded to 256 levels.
    """

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape."""
        check_images(images)
        return apply_operations(images, *self.draw(len(images), generator))

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw operations and magnitudes for `count` images, as `apply_operations` takes them."""
        bounds = (len(OPERATIONS), BINS, 2)
        device = generator.device
        draws = [torch.randint(n, (count,), generator=generator, device=device) for n in bounds]
        operation, strength, minus = torch.stack(draws).cpu()
        magnitudes = torch.stack([levels.double() for _, levels, _ in OPERATIONS.values()])
        signed = torch.tensor([is_signed for _, _, is_signed in OPERATIONS.values()])
        sign = torch.where(signed[operation], 1 - 2 * minus, 1)
        return operation, magnitudes[operation, strength] * sign
