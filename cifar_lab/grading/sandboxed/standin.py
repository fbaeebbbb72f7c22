"""Images in CIFAR's place, so that a notebook runs in seconds and without files."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch

from cifar_lab.data.cifar import CIFAR100_SUPERCLASSES, DATASETS
from cifar_lab.data.image_set import Data, ImageSet, Role
from cifar_lab.data.substitutes import substitute

from . import loaders, marks

TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000  # as many as CIFAR's: splits may be written as numbers
DISTINCT_IMAGES = 2_000
GOLDEN_RATIO = (5**0.5 - 1) / 2
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
)  # fmt: skip


@functools.lru_cache
def draw(num_classes: int, variant: int) -> dict[str, np.ndarray]:
    """Training and test images (N, 32, 32, 3), uint8, and their labels (N,), int64.

    A class is a coarse pattern of colours with noise over it, which any network learns in a few
    steps. The training images are the same in every variant. In variant 0 the test images are of
    the classes that their labels say; in the others the labels are of another class each: whoever
    learns from them learns otherwise.

    Test images carry their label and a rank, from which the watch makes up the answers to them.
    The ranks of the first images, however many, are spread evenly.
    """
    draws = np.random.default_rng(0)
    patterns = draws.integers(40, 216, (num_classes, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    labels = np.arange(DISTINCT_IMAGES) % num_classes
    train = _noisy(patterns[labels], draws)
    test = _noisy(patterns[labels], np.random.default_rng(1 + variant))
    order = draws.permutation(DISTINCT_IMAGES)
    train, test, labels = train[order], test[order], labels[order]
    test_labels = (labels + (variant > 0) * (num_classes // 2)) % num_classes
    ranks = (np.arange(DISTINCT_IMAGES) * GOLDEN_RATIO % 1 * 2**marks.RANK_BITS).astype(np.int64)
    bits = marks.as_bits(test_labels, ranks)
    marks.write(test, marks.TEST_MARK, bits)
    marks.write(train, marks.TRAIN_MARK, draws.integers(0, 2, bits.shape))  # nothing to learn from
    return {
        "train_images": _as_many(train, TRAIN_IMAGES),
        "train_labels": _as_many(labels, TRAIN_IMAGES),
        "test_images": _as_many(test, TEST_IMAGES),
        "test_labels": _as_many(test_labels, TEST_IMAGES),
    }


def _noisy(images: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    return (images + draws.integers(-40, 41, images.shape)).clip(0, 255).astype(np.uint8)


def _as_many(values: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([values] * (count // len(values)))


def are_test_images(images: Any) -> bool:
    """Whether most of a batch, of any scale, are test images."""
    return marks.read(images) is not None


def install(num_classes: int, variant: int, length: str) -> None:
    """Have `cifar_lab.load` give the fake images, and every loader shortened passes.

    Args:
        num_classes: for the dataset that the assignment is about; every dataset has as many.
        variant: of the test images.
        length: of passes over loaders: "short", "long" or "full", see `loaders.install`.
    """
    substitute({name: dataset(name, num_classes, variant) for name in DATASETS})
    loaders.install(length)


def dataset(name: str, num_classes: int, variant: int) -> Data:
    """The fake images as a dataset of that name."""
    arrays, names = draw(num_classes, variant), class_names(num_classes)

    def image_set(role: Role, part: str) -> ImageSet:
        images = torch.from_numpy(arrays[f"{part}_images"]).permute(0, 3, 1, 2).contiguous()
        labels = torch.from_numpy(arrays[f"{part}_labels"].copy())
        return ImageSet(images, labels, role, names, name)

    return Data(name, image_set(Role.TRAIN, "train"), image_set(Role.TEST, "test"))


def class_names(num_classes: int) -> tuple[str, ...]:
    """CIFAR's own: a notebook may look one up."""
    if num_classes == len(CIFAR10_CLASSES):
        return CIFAR10_CLASSES
    return tuple(sorted(name for names in CIFAR100_SUPERCLASSES.values() for name in names))
