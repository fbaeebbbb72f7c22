from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from cifar_lab.data.cifar import CIFAR100_SUPERCLASSES
from cifar_lab.evaluation import superclass_confusion, superclass_labels

CLASSES = sorted(name for members in CIFAR100_SUPERCLASSES.values() for name in members)


def test_twenty_superclasses_of_five_classes_share_no_class() -> None:
    assert len(CIFAR100_SUPERCLASSES) == 20
    assert {len(members) for members in CIFAR100_SUPERCLASSES.values()} == {5}
    assert len(set(CLASSES)) == 100


def test_confusion_among_superclasses_counts_the_same_images() -> None:
    names = ["apple", "bee", "beetle", "pear"]  # fruit, insect, insect, fruit
    confusion = torch.tensor([[5, 1, 0, 2], [0, 7, 3, 0], [1, 0, 4, 0], [0, 0, 2, 6]])
    fruit, insects = (
        list(CIFAR100_SUPERCLASSES).index(name) for name in ("fruit and vegetables", "insects")
    )
    expected = torch.zeros(20, 20, dtype=torch.int64)
    expected[fruit, fruit] = 5 + 2 + 0 + 6
    expected[fruit, insects] = 1 + 0 + 0 + 2
    expected[insects, fruit] = 0 + 0 + 1 + 0
    expected[insects, insects] = 7 + 3 + 0 + 4
    assert torch.equal(superclass_confusion(confusion, names), expected)


def test_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="'airplane' is not a class of CIFAR-100"):
        superclass_labels(["apple", "airplane"])


def test_a_matrix_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="each of the 100 classes"):
        superclass_confusion(torch.zeros(20, 20), CLASSES)


@pytest.mark.real_data
def test_the_dataset_s_own_files_group_the_classes_alike(real_root: Path) -> None:
    folder = real_root / "cifar-100-python"
    names = pickle.loads((folder / "meta").read_bytes())
    test = pickle.loads((folder / "test").read_bytes(), encoding="latin1")
    fine, coarse = names["fine_label_names"], names["coarse_label_names"]
    titles = [name.replace("_", " ") for name in coarse]
    pairs = {
        (fine[label], titles[group])
        for label, group in zip(test["fine_labels"], test["coarse_labels"], strict=True)
    }
    ours = superclass_labels(fine)
    assert pairs == {
        (name, list(CIFAR100_SUPERCLASSES)[int(group)])
        for name, group in zip(fine, ours, strict=True)
    }
