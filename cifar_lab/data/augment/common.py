"""Tools for all transforms: checks of arguments, and numbers drawn from a generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cifar_lab.utils.plain import as_number, plain


def take_plain_numbers(transform: Any) -> None:
    """Convert the numbers in a frozen transform's fields to Python's, and sequences to tuples."""
    for field in dataclasses.fields(transform):
        value = getattr(transform, field.name)
        if isinstance(value, tuple | list | np.ndarray) or (
            isinstance(value, Tensor) and value.ndim == 1
        ):
            object.__setattr__(transform, field.name, tuple(_plain_number(each) for each in value))
        else:
            object.__setattr__(transform, field.name, _plain_number(value))


def _plain_number(value: Any) -> Any:
    """Return a number of numpy or PyTorch as Python's; anything else as it is, for the checks."""
    if not isinstance(value, np.generic | np.ndarray | Tensor):
        return value
    try:
        return as_number("", value)
    except ValueError:
        return plain(value)


def check_images(images: Tensor) -> None:
    """Raise unless these are float images (N, 3, H, W).

    Raises:
        TypeError: The images are not a tensor of floats.
        ValueError: The images have another shape.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(
            f"images are {kind}; expected a float tensor in [0, 1]. "
            "Scale pixels from 0 to 255 with images.float() / 255."
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; expected (N, 3, height, width). "
            "Turn a single image into a batch with images.unsqueeze(0)."
        )


def check_number(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Raise a TypeError or ValueError unless `value` is a number in [low, high]."""
    expected = f"a number from {low} to {high}" if high < float("inf") else f"at least {low}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}; expected {expected}.")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; expected {expected}.")


def check_range(name: str, value: tuple[float, float], low: float, high: float) -> None:
    """Raise a TypeError or ValueError unless `value` is (least, most) within [low, high]."""
    expected = f"(least, most), both from {low} to {high}"
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name} is {value!r}; expected {expected}.")
    if not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} is {value}; expected {expected}.")


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw numbers uniformly from [low, high), on the generator's device."""
    draws = torch.rand(shape, generator=generator, device=generator.device)
    return draws * (high - low) + low


Transform = Callable[[Tensor, torch.Generator], Tensor]
"""A function of images (N, 3, H, W) in [0, 1] and a generator that returns images of that shape."""
