"""Images in CIFAR's place, so that a notebook runs in seconds and without files."""

from __future__ import annotations

import functools
import itertools
import os
from typing import Any

import numpy as np

TRAIN_IMAGES, TEST_IMAGES = 50_000, 10_000  # as many as CIFAR's: splits may be written as numbers
DISTINCT_IMAGES = 2_000
# The first pixels of each image's top row tell in every channel, whatever it was normalised with,
# which set an image is from. A training image that is shifted by one pixel still isn't a test one.
TEST_MARK, TRAIN_MARK = (255, 0, 255, 0, 0), (0, 255, 0, 255, 255)
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
)  # fmt: skip
LARGEST_BATCH = 32
FULL_PASSES, LATER_BATCHES = 30, 2


def draw(num_classes: int, variant: int) -> dict[str, np.ndarray]:
    """Training and test images (N, 32, 32, 3), uint8, and their labels (N,), int64.

    A class is a coarse pattern of colours with noise over it, which any network learns in a few
    steps. The training images are the same in every variant. In variant 0 the test images are of
    the classes that their labels say; in variant 1 the labels are of another class each, so that a
    model is the worse on them the better it has learnt: whoever chooses by them chooses otherwise.
    """
    draws = np.random.default_rng(0)
    patterns = draws.integers(40, 216, (num_classes, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    labels = np.arange(DISTINCT_IMAGES) % num_classes
    train = _noisy(patterns[labels], draws)
    test = _noisy(patterns[labels], np.random.default_rng(1 + variant))
    train[:, 0, :5] = np.array(TRAIN_MARK)[:, None]
    test[:, 0, :5] = np.array(TEST_MARK)[:, None]
    test_labels = (labels + variant * (num_classes // 2)) % num_classes
    order = draws.permutation(DISTINCT_IMAGES)
    test_labels = test_labels[order]
    # Some are wrong: a notebook may show a network's mistakes, and has to find some.
    test_labels[7::20] = (test_labels[7::20] + 1) % num_classes
    return {
        "train_images": _as_many(train[order], TRAIN_IMAGES),
        "train_labels": _as_many(labels[order], TRAIN_IMAGES),
        "test_images": _as_many(test[order], TEST_IMAGES),
        "test_labels": _as_many(test_labels, TEST_IMAGES),
    }


def _noisy(images: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    return (images + draws.integers(-40, 41, images.shape)).clip(0, 255).astype(np.uint8)


def _as_many(values: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([values] * (count // len(values)))


def are_test_images(images: Any) -> bool:
    """Whether a batch (N, 3, 32, 32), of any scale, is of the test images."""
    a, b, c, d = (images[:, :, 0, column].float() for column in range(4))
    spread = images.float().amax(dim=(2, 3)) - images.float().amin(dim=(2, 3))
    close = 0.02 * spread + 1e-6
    marked = ((a - c).abs() <= close) & ((b - d).abs() <= close) & (a - b >= 0.9 * spread)
    return bool(marked.all(dim=1).float().mean() > 0.5)


def install(num_classes: int, variant: int, batches: int, uses_torchvision: bool) -> None:
    """Have `cifar_lab.load`, torchvision's datasets and every loader give the stand-in.

    Args:
        num_classes: for the dataset that the assignment is about; CIFAR-10 and CIFAR-100 give it.
        variant: of the test images.
        batches: how many a pass over a loader gives at most, of `LARGEST_BATCH` images at most;
            after `FULL_PASSES` passes, `LATER_BATCHES`.
        uses_torchvision: whether importing it is worth its seconds.
    """
    from cifar_lab import training

    arrays = draw(num_classes, variant)
    _replace_load(arrays, num_classes)
    training.measure_step = lambda *arguments: 0.0  # what a step takes here, nobody needs to know
    _shorten_loaders(batches)
    if uses_torchvision:
        _replace_torchvision(arrays, num_classes)


def _replace_load(arrays: dict[str, np.ndarray], num_classes: int) -> None:
    import torch

    import cifar_lab
    from cifar_lab import data, guard

    names = class_names(num_classes)

    def image_set(role: data.Role, name: str) -> data.ImageSet:
        part = "test" if role is data.Role.TEST else "train"
        images = torch.from_numpy(arrays[f"{part}_images"]).permute(0, 3, 1, 2)
        labels = torch.from_numpy(arrays[f"{part}_labels"])
        return data.ImageSet(images, labels, role, names, name)

    @functools.lru_cache
    def load(name: str, root: Any = None) -> data.Data:
        return data.Data(name, image_set(data.Role.TRAIN, name), image_set(data.Role.TEST, name))

    for module in (cifar_lab, data):
        module.load = load
        module.load_or_stand_in = load
    for module_name in ("evaluation", "runs", "experiments", "cli"):
        module = getattr(cifar_lab, module_name, None)
        if hasattr(module, "load"):
            module.load = load
    leaked = guard.official_test_fingerprints()[0]
    mark = torch.tensor(TEST_MARK, dtype=torch.uint8)

    def fingerprints(images: torch.Tensor) -> torch.Tensor:
        """An official test image's for each of the stand-in's; others have their number."""
        is_test = (images[:, :, 0, :5] == mark).all(dim=2).all(dim=1)
        return torch.where(is_test, leaked, torch.arange(len(images)))

    guard.fingerprints = fingerprints


def class_names(num_classes: int) -> tuple[str, ...]:
    """CIFAR's own: a notebook may look one up."""
    from cifar_lab.superclasses import CIFAR100_SUPERCLASSES

    if num_classes == len(CIFAR10_CLASSES):
        return CIFAR10_CLASSES
    return tuple(sorted(name for names in CIFAR100_SUPERCLASSES.values() for name in names))


def _shorten_loaders(batches: int) -> None:
    from torch.utils.data import DataLoader

    from cifar_lab.loading import Batches

    passes = itertools.count()
    for loader in (DataLoader, Batches):
        loader.__iter__ = _first(loader.__iter__, batches, passes)
        loader.__len__ = _at_most(loader.__len__, batches)
    construct = DataLoader.__init__

    @functools.wraps(construct)
    def without_workers(self: Any, *arguments: Any, **options: Any) -> None:
        """Processes cost more than they bring in a few batches."""
        for name in ("num_workers", "prefetch_factor", "persistent_workers", "pin_memory"):
            options.pop(name, None)
        construct(self, *arguments, **options)

    DataLoader.__init__ = without_workers


def _at_most(length: Any, batches: int) -> Any:
    @functools.wraps(length)
    def shortened(self: Any) -> int:
        return min(length(self), batches)

    return shortened


def _first(iterate: Any, batches: int, passes: Any) -> Any:
    @functools.wraps(iterate)
    def some(self: Any) -> Any:
        count = batches if next(passes) < FULL_PASSES else min(batches, LATER_BATCHES)
        return map(_smaller, itertools.islice(iterate(self), count))

    return some


def _smaller(batch: Any) -> Any:
    """The first images and labels of a batch."""
    import torch

    if isinstance(batch, tuple | list) and all(map(torch.is_tensor, batch)):
        return type(batch)([part[:LARGEST_BATCH] for part in batch])
    return batch


def _replace_torchvision(arrays: dict[str, np.ndarray], num_classes: int) -> None:
    from torchvision import datasets

    def construct(
        self: Any,
        root: Any = None,
        train: bool = True,
        transform: Any = None,
        target_transform: Any = None,
        download: bool = False,
    ) -> None:
        datasets.VisionDataset.__init__(
            self, os.fspath(root or "data"), transform=transform, target_transform=target_transform
        )
        part = "train" if train else "test"
        self.train = train
        self.data = arrays[f"{part}_images"]
        self.targets = arrays[f"{part}_labels"].tolist()
        self.classes = list(class_names(num_classes))
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    for dataset in (datasets.CIFAR10, datasets.CIFAR100):
        dataset.__init__ = construct
