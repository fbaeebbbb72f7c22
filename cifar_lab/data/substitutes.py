"""A way to replace datasets by other images for the rest of a process, for the grader's checks."""

from __future__ import annotations

from collections.abc import Mapping

from cifar_lab.data import datasets as loading
from cifar_lab.data import leakage
from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.image_set import Data


def substitute(datasets: Mapping[str, Data]) -> None:
    """Make `load` return these datasets, and refuse their test images in training.

    It holds for every caller of `load`, under whatever name it was imported, until the process
    ends.

    Args:
        datasets: Maps names that `load` knows to datasets. Other names are loaded as before.

    Raises:
        ValueError: A name is none that `load` knows.
    """
    unknown = datasets.keys() - set(DATASETS)
    if unknown:
        raise ValueError(
            f"{sorted(unknown)} are not names of datasets; expected some of {list(DATASETS)}."
        )
    loading.substitutes.update(datasets)
    leakage.refuse_also(each.test.images for each in datasets.values())
