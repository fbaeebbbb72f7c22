"""Labelled images in memory, with a role: training, validation or test.

Images are uint8, N x 3 x H x W, contiguous in memory.
"""

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
    """The use that a set of images is for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass
class Uses:
    """A counter of evaluations on a set of images, which its subsets and copies share."""

    count: int = 0


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images with a role.

    It is also a map-style dataset, so a `torch.utils.data.DataLoader` takes it: item `i` is
    (image in [0, 1], float32, 3 x H x W; label, int). A slice or a list of indices gives the pair
    of tensors (images, labels).

    Attributes:
        images: The images, uint8, N x 3 x H x W.
        labels: The class numbers, int64, N, each in [0, len(class_names)).
        role: The use that the images are for.
        class_names: The name of each class.
        dataset: The dataset's name: "cifar10", "cifar100", "synthetic", or "custom".
        uses: Counts the evaluations on these images. Each one on the test set that leads to a
            decision makes its accuracy a little too optimistic.

    Raises:
        TypeError: The images are not uint8, or the labels not int64.
        ValueError: The shapes are wrong, the numbers of images and labels differ, or a label is
            the number of no class.

    Example:
        >>> import cifar_lab as lab
        >>> train = lab.load("synthetic").train
        >>> image, label = train[0]
        >>> images, labels = train[:100]
        >>> image.shape, images.shape
        (torch.Size([3, 32, 32]), torch.Size([100, 3, 32, 32]))
        >>> train.subset(range(50))
        ImageSet(train: 50 images 3 x 32 x 32, 10 classes, synthetic)
        >>> bool((train.subset(train.labels == 3).labels == 3).all())
        True
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
        """Return the number of classes."""
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
        """Return the set of the images at `indices`, in their order.

        Args:
            indices: Whole numbers, or a mask of True and False, in a tensor, list, range or array;
                or a slice.
            role: The subset's role; None for the role of this set.

        Raises:
            IndexError: There is no image at an index.
            TypeError: The indices are of another kind.
            ValueError: A subset of the test set would get another role.
        """
        role = role or self.role
        if self.role is Role.TEST and role is not Role.TEST:
            raise ValueError(
                f"The role of a subset of the test set is {role.value!r}; expected 'test': test "
                "images are for the final evaluation. Take a subset of the training images."
            )
        images, labels = self._gather(indices)
        return replace(self, images=images, labels=labels, role=role)

    def to(self, device: torch.device | str) -> ImageSet:
        """Return the same images on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset: its name, its training images and its test images."""

    name: str
    train: ImageSet
    test: ImageSet

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the name of each class."""
        return self.train.class_names

    def __repr__(self) -> str:
        counts = f"{len(self.train):,} training and {len(self.test):,} test"
        return f"Data({self.name}: {counts} {self.train._kind()})"


def from_numpy(
    pixels: np.ndarray, labels: np.ndarray, role: Role, class_names: tuple[str, ...], dataset: str
) -> ImageSet:
    """Return pixels (N, 32, 32, 3) as an image set, contiguous, as `x.view(...)` expects it."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.from_numpy(labels.astype(np.int64)), role, class_names, dataset)


def gather(images: Tensor, indices: Tensor) -> Tensor:
    """Return the images at `indices`, all at least 0, in the memory layout of `images`."""
    if images.is_contiguous():
        return images.index_select(0, indices)
    channels_last = images.permute(0, 2, 3, 1)  # a view; rows of it are contiguous in memory
    return channels_last.index_select(0, indices).permute(0, 3, 1, 2)


def to_unit_interval(images: Tensor) -> Tensor:
    """Convert uint8 pixels, 0 to 255, to float32 in [0, 1], as torchvision's `ToTensor` does."""
    return images.to(torch.float32).div_(255)


def split(
    image_set: ImageSet, validation_fraction: float = 0.1, *, seed: int, stratified: bool = False
) -> tuple[ImageSet, ImageSet]:
    """Split training images at random into a training set and a validation set.

    Each image goes into one of the two.

    Args:
        image_set: The images to split; their role is train.
        validation_fraction: The share of the images that go into the validation set, in (0, 1).
        seed: Seeds the choice of the images; the same seed gives the same split on every machine.
        stratified: Whether each class is split in the same proportion, to within one image.

    Returns:
        The training set and the validation set.

    Raises:
        ValueError: The images are not training images, or one of the two sets would be empty.
        TypeError: The data is not an image set.

    Example:
        >>> import cifar_lab as lab
        >>> train, validation = lab.split(lab.load("synthetic").train, seed=0)
        >>> len(train), len(validation)
        (9000, 1000)
    """
    if not isinstance(image_set, ImageSet):
        raise TypeError(
            f"This is a {type(image_set).__name__}; expected an ImageSet, such as data.train, or "
            "data.train.subset(indices) for a part of it. Split another dataset with "
            "torch.utils.data.random_split."
        )
    validation_fraction = as_number("validation_fraction", validation_fraction)
    if image_set.role is not Role.TRAIN:
        raise ValueError(
            f"The images' role is {image_set.role.value!r}; expected 'train'. Split the training "
            "images: data.train."
        )
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
            f"validation_fraction is {validation_fraction}, which of {len(labels)} images leaves "
            "one of the two sets empty; expected at least one image in each. Give another share."
        )
    parts = ((~is_validation, Role.TRAIN), (is_validation, Role.VALIDATION))
    train, validation = (
        image_set.subset(torch.from_numpy(np.flatnonzero(chosen)), role) for chosen, role in parts
    )
    return train, validation
