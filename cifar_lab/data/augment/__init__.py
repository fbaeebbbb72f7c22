"""Random transforms, drawn for each image and applied to a whole batch on its device.

A transform is a small frozen dataclass that is called as `transform(images, generator)`. Images are
floats in [0, 1], (N, 3, H, W), and the generator is on their device. The transform returns new
images, channels-last, and draws from the generator alone. Each one calls a function that takes
explicit parameters for every image (`spatial`, `color`, `trivial`). CutMix and MixUp (`mixing`)
take labels too: `mix(images, labels, generator)` returns images and soft labels.

A new transform is a class in one of these files and a row in `TRANSFORMS`.
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
from cifar_lab.data.augment.mixing import CutMix, MixUp
from cifar_lab.data.augment.spatial import RandomCrop, RandomErasing, RandomHorizontalFlip
from cifar_lab.data.augment.trivial import TrivialAugment
from cifar_lab.utils.errors import unknown_name

__all__ = [
    "TRANSFORMS",
    "ColorJitter",
    "Compose",
    "CutMix",
    "MixUp",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "TrivialAugment",
    "describe",
    "from_description",
]


OTHER_TRANSFORMS = (
    "Use torchvision's and custom transforms in a custom Dataset, and give its DataLoader to fit "
    "instead of the images."
)


@dataclass(frozen=True)
class Compose:
    """A sequence of transforms; an empty one returns the images unchanged.

    Attributes:
        transforms: The transforms, in the order in which they are applied.

    Raises:
        TypeError: A transform can't be called as `transform(images, generator)`.
    """

    transforms: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", tuple(self.transforms))
        for transform in self.transforms:
            if isinstance(transform, CutMix | MixUp) or not callable(transform):
                raise TypeError(
                    f"{transform!r} can't be composed; expected transform(images, generator). "
                    "CutMix and MixUp take labels too: apply them after the others."
                )
            if type(transform).__module__.startswith("torchvision."):
                raise TypeError(
                    f"{transform!r} is torchvision's and takes no generator; expected a "
                    f"transform of cifar_lab.augment. {OTHER_TRANSFORMS}"
                )

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


def describe(transform: object) -> dict[str, Any]:
    """Return a transform as data for JSON, from which `from_description` builds an equal one.

    Raises:
        TypeError: The transform is not one of `TRANSFORMS`.
    """
    name = type(transform).__name__
    if TRANSFORMS.get(name) is not type(transform):
        raise TypeError(
            f"{transform!r} can't be described; expected one of {list(TRANSFORMS)} of "
            f"cifar_lab.augment. {OTHER_TRANSFORMS}"
        )
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
