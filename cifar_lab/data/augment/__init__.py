"""Random transforms, drawn for each image and applied to a whole batch on its device.

A transform is a small frozen dataclass that is called as `transform(images, generator)`. Images are
floats in [0, 1], (N, 3, H, W). The transform returns new images, channels-last, and draws from the
generator alone. Give it one on the CPU, as `Batches` does: then images are the same on every device
except for rounding, and the host never waits for the device. Each transform calls a function that
takes explicit parameters for every image (`spatial`, `color`, `trivial`). CutMix and MixUp
(`mixing`) take labels too: `mix(images, labels, generator)` returns images and soft labels.

Any other callable is taken too, such as torchvision's transforms: it is applied to single images
(`custom`). A new transform of the library is a class in one of these files and a row in
`TRANSFORMS`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cifar_lab.data.augment.color import ColorJitter
from cifar_lab.data.augment.common import Transform
from cifar_lab.data.augment.custom import Custom
from cifar_lab.data.augment.mixing import CutMix, MixUp
from cifar_lab.data.augment.spatial import RandomCrop, RandomErasing, RandomHorizontalFlip
from cifar_lab.data.augment.trivial import TrivialAugment
from cifar_lab.utils.errors import unknown_name

__all__ = [
    "TRANSFORMS",
    "ColorJitter",
    "Compose",
    "Custom",
    "CutMix",
    "MixUp",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "TrivialAugment",
    "as_transform",
    "describe",
    "from_description",
]


@dataclass(frozen=True)
class Compose:
    """A sequence of transforms; an empty one returns the images unchanged.

    Attributes:
        transforms: The transforms, in the order in which they are applied: the library's, or
            functions of one image (C, H, W) in [0, 1], such as torchvision's.

    Raises:
        TypeError: A transform can't be called, or mixes labels too.
    """

    transforms: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        parts = tuple(as_transform(each) for each in self.transforms)
        object.__setattr__(self, "transforms", parts)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map images (N, 3, H, W) in [0, 1] to new images of the same shape."""
        for transform in self.transforms:
            images = transform(images, generator)
        return images


TRANSFORMS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (RandomCrop, RandomHorizontalFlip, ColorJitter, RandomErasing, TrivialAugment)
    + (CutMix, MixUp, Compose)
}


def as_transform(transform: Any) -> Transform:
    """Return a transform of the library as it is, and any other as a `Custom` one.

    Raises:
        TypeError: The transform is a class, can't be called, or is CutMix or MixUp.
    """
    kind = type(transform)
    if isinstance(transform, type):
        raise TypeError(
            f"{transform.__name__} is a class; expected a transform. Give an instance of it: "
            f"{transform.__name__}(...)."
        )
    if kind.__name__ in ("CutMix", "MixUp"):
        raise TypeError(
            f"{transform!r} can't be composed: CutMix and MixUp take labels too. Give it as the "
            "recipe's mix, which comes after the others."
        )
    if isinstance(transform, Custom) or TRANSFORMS.get(kind.__name__) is kind:
        return transform
    if not callable(transform):
        raise TypeError(
            f"{transform!r} can't be composed; expected a transform of cifar_lab.augment or a "
            "function of one image (C, H, W) in [0, 1]."
        )
    return Custom.of(transform)


def describe(transform: object) -> dict[str, Any]:
    """Return a transform as data for JSON, from which `from_description` builds an equal one.

    A custom transform is described by its name and text; the one built from that can't be applied.

    Raises:
        TypeError: The object can't be called.
    """
    if TRANSFORMS.get(type(transform).__name__) is not type(transform):
        transform = as_transform(transform)
    name = type(transform).__name__
    if isinstance(transform, Custom):
        return {"name": name, "kind": transform.name, "text": transform.text}
    if isinstance(transform, Compose):
        return {"name": name, "transforms": [describe(part) for part in transform.transforms]}
    settings: dict[str, Any] = dataclasses.asdict(transform)  # type: ignore[call-overload]
    lists = {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}
    return {"name": name, **lists}


def from_description(description: Mapping[str, Any]) -> Any:
    """Build the transform that `describe` described; the description may come from JSON.

    Raises:
        ValueError: The name is unknown, or the transform does not take a setting.
    """
    settings = dict(description)
    name = settings.pop("name", None)
    if name == Custom.__name__:
        return Custom(settings["kind"], settings["text"])
    if name not in TRANSFORMS:
        raise unknown_name("transform", name, TRANSFORMS)
    if name == "Compose":
        return Compose(tuple(from_description(part) for part in settings["transforms"]))
    try:
        return TRANSFORMS[name](
            **{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        )
    except TypeError as error:
        raise ValueError(f"{name} can't be built from {settings}: {error}") from error
