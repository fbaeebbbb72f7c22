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
substitutes: dict[str, Data] = {}  # what `load` gives instead: see `cifar_lab.data.substitutes`


def load(name: str, root: str | Path | None = None) -> Data:
    """CIFAR-10, CIFAR-100 or the built-in synthetic stand-in, as images in memory.

    Args:
        name: "cifar10", "cifar100" (50,000 and 10,000 images each) or "synthetic" (10,000 and
            2,000 images drawn by code, which need neither files nor a network).
        root: the folder with the datasets. Files that are there are used as they are; missing ones
            are downloaded into it. By default the environment variable `CIFAR_LAB_DATA`, or
            `data` where that is not set.

    Raises:
        ValueError: an unknown name.
        DatasetUnavailableError: the files are missing and could not be downloaded.
        CorruptedDataError: a file is there but is not the official one.
    """
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)
    if name in substitutes:
        return substitutes[name]
    if name == "synthetic":
        return _load_synthetic()
    from torchvision import datasets  # imported late: it takes seconds, and the rest needs none

    root = user_path(root or default_root())
    ensure_files(name, root)
    source = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    parts = [source(root, train=train) for train in (True, False)]
    class_names = tuple(parts[0].classes)
    train, test = (
        from_numpy(part.data, np.asarray(part.targets), role, class_names, name)
        for part, role in zip(parts, (Role.TRAIN, Role.TEST), strict=True)
    )
    return Data(name, train, test)


def default_root() -> Path:
    """Where datasets are looked for unless a folder is given: `CIFAR_LAB_DATA`, or `data`."""
    return user_path(os.environ.get("CIFAR_LAB_DATA") or "data")


def load_or_stand_in(name: str, root: str | Path | None = None) -> Data:
    """The dataset, or the synthetic stand-in with a loud warning where its files can't be had.

    It is for a first look without a network: figures on the stand-in say nothing about CIFAR.
    Takes and raises what `load` does, but for `DatasetUnavailableError`.
    """
    try:
        return load(name, root)
    except DatasetUnavailableError as error:
        rule = "!" * 100
        say(f"{rule}\n{error}\n\n{STAND_IN_WARNING.format(name=name)}\n{rule}")
        return load("synthetic")


STAND_IN_WARNING = (
    "SYNTHETIC STAND-IN: every figure from here on is of drawn images, NOT of {name}."
)


def _load_synthetic() -> Data:
    sizes = {Role.TRAIN: SYNTHETIC_TRAIN_IMAGES, Role.TEST: SYNTHETIC_TEST_IMAGES}
    train, test = (
        from_numpy(*synthetic.draw(size, seed=seed), role, synthetic.CLASS_NAMES, "synthetic")
        for seed, (role, size) in enumerate(sizes.items())
    )
    return Data("synthetic", train, test)
