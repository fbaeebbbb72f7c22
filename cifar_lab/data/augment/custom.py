"""Transforms from elsewhere: torchvision's, modules, and a user's functions."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cifar_lab.utils.devices import to_device
from cifar_lab.utils.seeding import random_state_kept, seed_generators

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def text_of(function: Any) -> str:
    """Return a text for a function or object that is the same in every process.

    It is the `repr` without memory addresses, or a function's module and name.
    """
    if inspect.isfunction(function) or inspect.isbuiltin(function):
        return f"{function.__module__}.{function.__qualname__}"
    return ADDRESS.sub("", repr(function))


@dataclass(frozen=True)
class Custom:
    """A transform from elsewhere, in the form of the library's: `transform(images, generator)`.

    A function of one image, as all of torchvision's are, is applied to each image of a batch, on
    the CPU. It may draw from the global generators of PyTorch, numpy and Python, which are seeded
    for it and restored. A function of (images, generator) gets whole batches on their device, and a
    generator there.

    Two are equal that have the same name and text, since that is all a file can hold of them.

    Attributes:
        name: The name of its class, or "function".
        text: Describes it, see `text_of`.
        function: Changes an image (C, H, W) in [0, 1], or a batch; None where the transform comes
            from a file.
    """

    name: str
    text: str
    function: Callable[..., Tensor] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, function: Callable[..., Tensor]) -> Custom:
        """Return a function or object as a transform of this library."""
        return cls(type(function).__name__, text_of(function), function)

    def __repr__(self) -> str:
        return self.text

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape.

        Raises:
            ValueError: The function was not given, fails, or returns something else.
        """
        if self.function is None:
            raise ValueError(
                f"The transform {self.text} comes from a file, which holds its name alone. Give "
                "it again: dataclasses.replace(recipe, augment=(...,))."
            )
        if _takes_batches(self.function):
            changed = self._apply(images, _on(images.device, generator))
        else:
            with random_state_kept():
                seed_generators(_seed_from(generator))
                changed = torch.stack([self._apply(image) for image in images.cpu()])
        changed = to_device(changed.to(images.dtype), images.device)
        return changed.contiguous(memory_format=torch.channels_last)

    def _apply(self, images: Tensor, *generator: torch.Generator) -> Tensor:
        """Change one image, or a batch, after a copy: the function may work in place."""
        assert self.function is not None
        shape = tuple(images.shape)
        try:
            changed = self.function(images.clone(memory_format=torch.contiguous_format), *generator)
        except (TypeError, AttributeError, RuntimeError, IndexError) as error:
            raise ValueError(
                f"The transform {self.text} can't change this: {error}. It gets a float tensor of "
                f"shape {shape} in [0, 1]: leave ToTensor() out. For one that takes PIL or uint8 "
                "images, put torchvision's ToPILImage() before it and ToTensor() after it, in a "
                "Compose of torchvision."
            ) from error
        if not torch.is_tensor(changed):
            found = type(changed).__name__
        elif not changed.is_floating_point():
            found = str(changed.dtype)
        elif changed.shape != images.shape:
            found = f"shape {tuple(changed.shape)}"
        else:
            return changed
        raise ValueError(
            f"The transform {self.text} returned {found}; expected a float tensor of shape "
            f"{shape}, as it got. Convert it back in the same Compose of torchvision."
        )


def _seed_from(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """Return the generator, or, where it is on another device, one that is seeded from it."""
    if generator.device.type == device.type:
        return generator
    return torch.Generator(device).manual_seed(_seed_from(generator))


def _takes_batches(function: Callable[..., Tensor]) -> bool:
    """Return whether a function takes (images, generator), as the library's transforms do."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a function that is not written in Python
        return False
    positional = [
        each
        for each in parameters
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        and each.default is each.empty
    ]
    return len(positional) == 2
