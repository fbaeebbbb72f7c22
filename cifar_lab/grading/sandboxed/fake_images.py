"""Fake images in place of CIFAR's, so that a notebook runs in seconds and without files."""

from __future__ import annotations

import functools

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
    """Draw training and test images (N, 32, 32, 3), uint8, and their labels (N,), int64.

    A class is a coarse pattern of colours with noise over it, which any network learns in a few
    steps. The training images are the same in every variant. In variant 0 the test images are of
    the classes that their labels say; in the others each label is another class's, so that training
    on test images leads to other weights.

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


def install(num_classes: int, variant: int, length: str) -> None:
    """Have `cifar_lab.load` give the fake images, and every loader shortened passes.

    Args:
        num_classes: Number of classes of the assignment's dataset; every dataset gets as many.
        variant: Selects the test images.
        length: Length of passes over loaders: "short", "long" or "full", see `loaders.install`.
    """
    substitute({name: dataset(name, num_classes, variant) for name in DATASETS})
    loaders.install(length)


def dataset(name: str, num_classes: int, variant: int) -> Data:
    """Return the fake images as a dataset of that name."""
    arrays, names = draw(num_classes, variant), class_names(num_classes)

    def image_set(role: Role, part: str) -> ImageSet:
        labels = torch.from_numpy(arrays[f"{part}_labels"].copy())
        return ImageSet(_images(num_classes, variant, part), labels, role, names, name)

    return Data(name, image_set(Role.TRAIN, "train"), image_set(Role.TEST, "test"))


@functools.lru_cache
def _images(num_classes: int, variant: int, part: str) -> torch.Tensor:
    """Return the images (N, 3, 32, 32) that datasets of all names share: 150 MiB, once."""
    images = torch.from_numpy(draw(num_classes, variant)[f"{part}_images"])
    return images.permute(0, 3, 1, 2).contiguous()


def class_names(num_classes: int) -> tuple[str, ...]:
    """Return the names of CIFAR's own classes: a notebook may look one up."""
    if num_classes == len(CIFAR10_CLASSES):
        return CIFAR10_CLASSES
    return tuple(sorted(name for names in CIFAR100_SUPERCLASSES.values() for name in names))
