"""Checks of images and labels in memory, with errors that say how to convert them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def check_pixels(images: Any) -> None:
    """Raise unless these are images (N, 3, height, width), uint8.

    Raises:
        TypeError: The images are not a tensor, or one of another type.
        ValueError: The images have another shape.
    """
    _check_tensor("images", images)
    if images.dtype != torch.uint8:
        raise TypeError(
            f"images are {images.dtype}; expected torch.uint8, 0 to 255. {_to_pixels(images)}"
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; expected (N, 3, height, width). "
            f"{_to_planes(tuple(images.shape))}"
        )


def check_labels(labels: Any, count: int, num_classes: int) -> None:
    """Raise unless these are class numbers (count,), int64, below `num_classes`.

    Raises:
        TypeError: The labels are not a tensor, or one of another type.
        ValueError: The labels have another shape, or one of them is the number of no class.
    """
    _check_tensor("labels", labels)
    if labels.dtype != torch.int64:
        raise TypeError(f"labels are {labels.dtype}; expected torch.int64. Use labels.long().")
    if labels.shape != (count,):
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}; expected ({count},), one label per image."
        )
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}; expected 0 to "
            f"{num_classes - 1}, since there are {num_classes} class names. Correct the labels, or "
            "give a name for each class."
        )


def _check_tensor(name: str, value: Any) -> None:
    if not torch.is_tensor(value):
        raise TypeError(
            f"{name} are a {type(value).__name__}; expected a torch.Tensor. "
            "Use torch.from_numpy(...) or torch.tensor(...)."
        )


def _to_pixels(images: Tensor) -> str:
    """Return advice on how to convert images of another type to uint8, by their values' range."""
    if images.is_complex() or images.numel() == 0:
        return "Use images.to(torch.uint8)."
    low, high = images.min().item(), images.max().item()
    if low < 0:
        return (
            f"These run from {low:.3g} to {high:.3g}: give the images from before the "
            "normalisation; the model normalises them itself."
        )
    if images.is_floating_point() and high <= 1:
        return "Images scaled to [0, 1]: use (images * 255).round().to(torch.uint8)."
    if high <= 255:
        return "Pixels from 0 to 255: use images.to(torch.uint8)."
    return f"These run from {low:.3g} to {high:.3g}: scale them to 0 to 255 first."


def _to_planes(shape: tuple[int, ...]) -> str:
    """Return advice on how to convert images of another shape to (N, 3, height, width)."""
    if len(shape) == 4 and shape[1] == 1:
        return "Grey images: use images.expand(-1, 3, -1, -1)."
    if len(shape) == 4 and shape[3] == 1:
        return "Grey images: use images.permute(0, 3, 1, 2).expand(-1, 3, -1, -1)."
    if len(shape) == 4 and shape[3] == 3:
        return "Images with the channels last: use images.permute(0, 3, 1, 2)."
    if len(shape) == 4 and 4 in (shape[1], shape[3]):
        return "Images with an alpha channel: keep only the first three channels."
    if len(shape) == 3 and 3 in (shape[0], shape[2]):
        return "A single image: use images.unsqueeze(0)."
    if len(shape) == 3:
        return "Grey images: use images[:, None].expand(-1, 3, -1, -1)."
    if len(shape) == 2 and shape[1] == 3 * 32 * 32:
        return "Rows of CIFAR's files: use images.reshape(-1, 3, 32, 32)."
    return "Give each image a red, a green and a blue channel."
