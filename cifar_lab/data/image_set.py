"""Labelled images in memory, with a role that says what they may be used for.

Images are uint8, N x 3 x H x W, contiguous in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from cifar_lab.data.image_checks import check_labels, check_pixels
from cifar_lab.data.indices import Indices, as_place, as_places
from cifar_lab.utils.plain import as_number
from cifar_lab.utils.seeding import check_seed


class Role(str, Enum):
    """What a set of images may be used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass
class Uses:
    """How many times images have been evaluated on; subsets and copies share their set's count."""

    count: int = 0


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images with a role.

    It is also a map-style dataset, so a `torch.utils.data.DataLoader` takes it: item `i` is
    (image in [0, 1], float32, 3 x H x W; label, int). A slice, or a list of places, gives the pair
    of tensors (images, labels).

    Attributes:
        images: uint8, N x 3 x H x W.
        labels: int64, N, each in [0, len(class_names)).
        role: what the images may be used for.
        class_names: the name of each label.
        dataset: where the images come from: "cifar10", "cifar100", "synthetic".
        uses: how many times they were evaluated on, which is what a test set's worth depends on.

    Raises:
        TypeError: images that are not uint8, or labels that are not int64.
        ValueError: another shape, another number of labels than images, a label without a class.
    """

    images: Tensor
    labels: Tensor
    role: Role
    class_names: tuple[str, ...]
    dataset: str = "custom"
    uses: Uses = field(default_factory=Uses)

    def __post_init__(self) -> None:
        check_pixels(self.images)
        check_labels(self.labels, len(self.images), self.num_classes)

    def __repr__(self) -> str:
        return f"ImageSet({self.role.value}: {len(self):,} {self._kind()}, {self.dataset})"

    def _kind(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        return f"images {shape}, {self.num_classes} classes"

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> tuple[Tensor, int]: ...

    @overload
    def __getitem__(self, index: Indices) -> tuple[Tensor, Tensor]: ...

    def __getitem__(self, index: Any) -> tuple[Tensor, int | Tensor]:
        place = as_place(index)
        if place is not None:
            return to_unit_interval(self.images[place].contiguous()), int(self.labels[place])
        images, labels = self._gather(index)
        return to_unit_interval(images.contiguous()), labels

    def _gather(self, indices: Indices) -> tuple[Tensor, Tensor]:
        places = as_places(indices, len(self))
        images = gather(self.images, places.to(self.images.device))
        return images, self.labels[places.to(self.labels.device)]

    def subset(self, indices: Indices, role: Role | None = None) -> ImageSet:
        """The images at `indices`, in that order, or where they are True; test images stay such.

        Args:
            indices: a tensor, list, range or array of places or of True and False, or a slice.
            role: of the subset; by default that of the set.

        Raises:
            IndexError: there is no image at an index.
            TypeError: they are no indices.
            ValueError: the subset of a test set would be given another role.
        """
        role = role or self.role
        if self.role is Role.TEST and role is not Role.TEST:
            raise ValueError("Test images are for the final evaluation: they can't be relabelled.")
        images, labels = self._gather(indices)
        return replace(self, images=images, labels=labels, role=role)

    def to(self, device: torch.device | str) -> ImageSet:
        """The same images on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset: its training images, its test images and the names of its classes."""

    name: str
    train: ImageSet
    test: ImageSet

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label."""
        return self.train.class_names

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} training and {len(self.test):,} test"
        return f"Data({self.name}: {counts} {self.train._kind()})"


def from_numpy(
    pixels: np.ndarray, labels: np.ndarray, role: Role, class_names: tuple[str, ...], dataset: str
) -> ImageSet:
    """Pixels (N, 32, 32, 3) -> an image set, contiguous in memory as `x.view(...)` expects it."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.from_numpy(labels.astype(np.int64)), role, class_names, dataset)


def gather(images: Tensor, indices: Tensor) -> Tensor:
    """The images at `indices`, none below 0, in the memory layout of those they come from."""
    if images.is_contiguous():
        return images.index_select(0, indices)
    channels_last = images.permute(0, 2, 3, 1)  # a view; rows of it are contiguous in memory
    return channels_last.index_select(0, indices).permute(0, 3, 1, 2)


def to_unit_interval(images: Tensor) -> Tensor:
    """Pixels uint8, 0 to 255 -> float32 in [0, 1], as torchvision's `ToTensor` scales them."""
    return images.to(torch.float32).div_(255)


def split(
    image_set: ImageSet, validation_fraction: float = 0.1, *, seed: int, stratified: bool = False
) -> tuple[ImageSet, ImageSet]:
    """Training images -> (training, validation), disjoint and together all of them.

    Args:
        image_set: images of the train role.
        validation_fraction: the share that goes to validation, in (0, 1).
        seed: the same seed gives the same split on every machine.
        stratified: keep each class's share, to within one image a class.

    Raises:
        ValueError: the set is not for training, or one of the two parts would be empty.
        TypeError: not an image set.
    """
    if not isinstance(image_set, ImageSet):
        raise TypeError(
            f"This is a {type(image_set).__name__}; expected an ImageSet, such as data.train, or "
            "data.train.subset(indices) for a part of it. Another dataset is split with "
            "torch.utils.data.random_split."
        )
    validation_fraction = as_number("validation_fraction", validation_fraction)
    if image_set.role is not Role.TRAIN:
        raise ValueError(f"Only training images are split; these are {image_set.role.value}.")
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction is {validation_fraction}; expected between 0 and 1.")
    draw = np.random.default_rng(check_seed(seed))
    labels = image_set.labels.cpu().numpy()
    if stratified:
        groups = [np.flatnonzero(labels == label) for label in range(image_set.num_classes)]
    else:
        groups = [np.arange(len(labels))]
    chosen = [
        draw.permutation(group)[: round(len(group) * validation_fraction)] for group in groups
    ]
    is_validation = np.zeros(len(labels), dtype=bool)
    is_validation[np.concatenate(chosen)] = True
    if not 0 < is_validation.sum() < len(labels):
        raise ValueError(
            f"validation_fraction {validation_fraction} of {len(labels)} images leaves a part "
            "empty; expected a share that gives each part images."
        )
    parts = ((~is_validation, Role.TRAIN), (is_validation, Role.VALIDATION))
    train, validation = (
        image_set.subset(torch.from_numpy(np.flatnonzero(chosen)), role) for chosen, role in parts
    )
    return train, validation
