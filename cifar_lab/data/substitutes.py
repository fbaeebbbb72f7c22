"""Other images in the place of datasets, for the rest of a process: the one seam for a grader."""

from __future__ import annotations

from collections.abc import Mapping

from cifar_lab.data import datasets as loading
from cifar_lab.data import leakage
from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.image_set import Data


def substitute(datasets: Mapping[str, Data]) -> None:
    """Let `load` return these datasets, and refuse their test images in training as CIFAR's are.

    It holds wherever `load` is called from, whatever name it was imported under, and ends with the
    process.

    Args:
        datasets: by the names that `load` knows. Others are loaded as before.

    Raises:
        ValueError: a name that `load` does not know.
    """
    unknown = datasets.keys() - set(DATASETS)
    if unknown:
        raise ValueError(f"{sorted(unknown)} are no datasets; expected some of {DATASETS}.")
    loading.substitutes.update(datasets)
    leakage.refuse_also(each.test.images for each in datasets.values())
