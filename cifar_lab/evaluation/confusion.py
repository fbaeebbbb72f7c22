"""Which classes are taken for which, and for which superclass of CIFAR-100."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cifar_lab.data.cifar import CIFAR100_SUPERCLASSES
from cifar_lab.utils.plain import as_whole


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count images by true class (row) and predicted class (column).

    Args:
        predictions: The predicted class numbers (N,), int64, such as `logits.argmax(dim=1)`.
        labels: The true class numbers (N,), int64.
        num_classes: The number of classes.

    Returns:
        The counts (num_classes, num_classes), int64.

    Raises:
        ValueError: A prediction or a label is the number of no class.
    """
    num_classes = as_whole("num_classes", num_classes, at_least=1)
    for name, classes in (("predictions", predictions), ("labels", labels)):
        if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(
                f"{name} run from {int(classes.min())} to {int(classes.max())}; expected classes "
                f"from 0 to {num_classes - 1}. Give the data's number of classes."
            )
    pairs = labels * num_classes + predictions
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def most_confused(confusion: Tensor, count: int) -> list[tuple[int, int, int]]:
    """Return the `count` most frequent errors as (true class, predicted class, images) in order."""
    errors = confusion - torch.diag(confusion.diag())
    images, places = errors.flatten().sort(descending=True, stable=True)
    size = len(confusion)
    return [
        (int(place) // size, int(place) % size, int(number))
        for number, place in zip(images[:count], places[:count], strict=True)
        if number > 0
    ]


def superclass_labels(class_names: Sequence[str]) -> Tensor:
    """Return each class's superclass as an index into `CIFAR100_SUPERCLASSES`, (num_classes,).

    Raises:
        ValueError: A class is not one of CIFAR-100's.
    """
    index_of = {
        member: index
        for index, members in enumerate(CIFAR100_SUPERCLASSES.values())
        for member in members
    }
    unknown = [name for name in class_names if name not in index_of]
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} is not a class of CIFAR-100; expected only classes of CIFAR-100, "
            "since the other datasets have no superclasses."
        )
    return torch.tensor([index_of[name] for name in class_names])


def superclass_confusion(confusion: Tensor, class_names: Sequence[str]) -> Tensor:
    """Map a confusion matrix of classes (100, 100) to one of superclasses (20, 20).

    Raises:
        ValueError: The matrix has another size, or the classes are not CIFAR-100's.
    """
    if confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(
            f"confusion has shape {tuple(confusion.shape)}; expected one row and one column for "
            f"each of the {len(class_names)} classes."
        )
    labels = superclass_labels(class_names)
    count = len(CIFAR100_SUPERCLASSES)
    rows = torch.zeros(count, len(labels), dtype=confusion.dtype).index_add_(0, labels, confusion)
    return torch.zeros(count, count, dtype=confusion.dtype).index_add_(1, labels, rows)
