"""CIFAR-10, CIFAR-100 and the synthetic dataset by name, as images in memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cifar_lab.data import synthetic
from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.download import ensure_files
from cifar_lab.data.image_set import Data, Role, from_numpy
from cifar_lab.utils.console import say
from cifar_lab.utils.errors import DatasetUnavailableError, unknown_name
from cifar_lab.utils.files import user_path

SYNTHETIC_TRAIN_IMAGES, SYNTHETIC_TEST_IMAGES = 10_000, 2_000
SYNTHETIC_WARNING = (
    "SYNTHETIC DATASET: every figure from here on is of drawn images, NOT of {name}."
)
substitutes: dict[str, Data] = {}  # returned by `load` instead; see `cifar_lab.data.substitutes`


def load(name: str, root: str | Path | None = None) -> Data:
    """Load CIFAR-10, CIFAR-100 or the built-in synthetic dataset as images in memory.

    Args:
        name: "cifar10", "cifar100" (50,000 and 10,000 images each) or "synthetic" (10,000 and
            2,000 images drawn by code, which need neither files nor a network).
        root: The folder with the datasets. Files that are there are used as they are; missing ones
            are copied into it from a dataset that Kaggle attached to the notebook, or downloaded.
            None for the environment variable `CIFAR_LAB_DATA`, or for `data` where that is not set.

    Returns:
        The training and the test images, with their labels.

    Raises:
        ValueError: The name is unknown.
        DatasetUnavailableError: The files are missing and could not be downloaded.
        CorruptedDataError: A file is there but is not the official one.

    Example:
        >>> import cifar_lab as lab
        >>> data = lab.load("synthetic")
        >>> data
        Data(synthetic: 10,000 training and 2,000 test images 3 x 32 x 32, 10 classes)
        >>> data.train.images.shape, data.train.images.dtype
        (torch.Size([10000, 3, 32, 32]), torch.uint8)
    """
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    if name in substitutes:
        return substitutes[name]
    archive = DATASETS[name].archive
    if archive is None:
        return _load_synthetic()
    from torchvision import datasets  # imported late: it takes seconds, and the rest needs none

    root = user_path(root or default_root())
    ensure_files(name, root)
    source = getattr(datasets, archive.torchvision_class)
    parts = [source(root, train=train) for train in (True, False)]
    class_names = tuple(parts[0].classes)
    train, test = (
        from_numpy(part.data, np.asarray(part.targets), role, class_names, name)
        for part, role in zip(parts, (Role.TRAIN, Role.TEST), strict=True)
    )
    return Data(name, train, test)


def default_root() -> Path:
    """Return the default folder of the datasets: `CIFAR_LAB_DATA` where it is set, else `data`."""
    return user_path(os.environ.get("CIFAR_LAB_DATA") or "data")


def load_or_synthetic(name: str, root: str | Path | None = None) -> Data:
    """Load a dataset, or the synthetic one with a loud warning where its files are unavailable.

    Use it for a first look without a network: results on drawn images say nothing about CIFAR.

    Args:
        name: The dataset's name, as `load` takes it.
        root: The folder with the datasets, as `load` takes it.

    Returns:
        The dataset; its `name` says which one it is.

    Raises:
        ValueError: The name is unknown.
        CorruptedDataError: A file is there but is not the official one.
    """
    try:
        return load(name, root)
    except DatasetUnavailableError as error:
        rule = "!" * 100
        say(f"{rule}\n{error}\n\n{SYNTHETIC_WARNING.format(name=name)}\n{rule}")
        return load("synthetic")


load_or_stand_in = load_or_synthetic  # its name in notebooks of earlier versions


def _load_synthetic() -> Data:
    sizes = {Role.TRAIN: SYNTHETIC_TRAIN_IMAGES, Role.TEST: SYNTHETIC_TEST_IMAGES}
    train, test = (
        from_numpy(*synthetic.draw(size, seed=seed), role, synthetic.CLASS_NAMES, "synthetic")
        for seed, (role, size) in enumerate(sizes.items())
    )
    return Data("synthetic", train, test)
