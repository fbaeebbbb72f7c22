"""Predictions and accuracies of a model, in float32 and eval mode, and confusion matrices."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.batches import (
    Loader,
    as_loader,
    batches_on,
    check_class_numbers,
    num_classes_of,
    sources_of,
)
from cifar_lab.data.cifar import CIFAR100_SUPERCLASSES
from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.models.counting import MAX_PARAMETERS, count_parameters
from cifar_lab.models.forward import check_logits, device_of
from cifar_lab.models.inspection import evaluation_mode, materialize, require_network
from cifar_lab.models.layout import find_layout, is_written_here
from cifar_lab.models.views import check_views, logits_of_views
from cifar_lab.utils.plain import as_whole
from cifar_lab.utils.ranks import ALONE, Ranks

EVALUATION_BATCH_SIZE = 500
TRIED_IMAGES = 16  # enough of the first batch to see in which memory layout the network can compute


def predict(
    model: nn.Module,
    data: ImageSet | Loader,
    batch_size: int = EVALUATION_BATCH_SIZE,
    *,
    views: str = "single",
) -> tuple[Tensor, Tensor]:
    """Return the model's logits for all images, and the labels, in the data's order.

    An image set counts each use (`image_set.uses.count`).

    Args:
        model: Takes float images (N, 3, H, W) in [0, 1] and returns logits, or a tuple that begins
            with them; its mode is restored afterwards.
        data: An image set, or a loader of (images, labels), which has its own batches.
        batch_size: The number of images in a batch of an image set.
        views: "single"; or "mirror" or "six" for the mean of the logits over so many views of each
            image, which takes two or six times as long: see `cifar_lab.models.views`.

    Returns:
        The logits (N, num_classes) and the labels (N,), both on the CPU.

    Raises:
        ValueError, TypeError: There are no batches, they are not images and labels, or the model's
            outputs don't match the classes; or the model is a class, not a network; or there are
            no views of that name.

    Example:
        >>> import cifar_lab as lab
        >>> test = lab.load("synthetic").test
        >>> logits, labels = lab.predict(lab.build_model("mlp"), test)
        >>> predictions = logits.argmax(dim=1)  # one class number per image
        >>> predictions.shape == labels.shape == (len(test),)
        True
    """
    require_network(model)
    check_views(views)
    device = device_of(model)
    num_classes = num_classes_of(data)
    logits, labels = torch.empty(0, device=device), torch.empty(0, dtype=torch.int64, device=device)
    loader = as_loader(data, batch_size, device)
    for source in sources_of(data):
        source.uses.count += 1
    # Not in inference mode: tensors that the network stores in it could not be used in training.
    with evaluation_mode(model), torch.no_grad(), ExitStack() as stack:
        for number, (batch_images, batch_labels) in enumerate(batches_on(loader, device)):
            if number == 0:
                materialize(model, tuple(batch_images.shape[1:]))
            if number == 0 and device.type == "cpu" and is_written_here(model):
                layout = find_layout(model, batch_images[:TRIED_IMAGES])
                stack.enter_context(layout.within(model))
            batch_logits = logits_of_views(model, batch_images, views)
            check_logits(batch_logits, batch_labels, num_classes)
            check_class_numbers(batch_labels)
            # Joined at once: many small tensors would fragment the memory.
            logits = torch.cat([logits, batch_logits])
            labels = torch.cat([labels, batch_labels])
    return logits.cpu(), labels.cpu()


def test_accuracy(model: nn.Module, loader: ImageSet | Loader, *, views: str = "single") -> float:
    """Return the top-1 accuracy in percent: the share of images whose largest logit is the label's.

    The name is that of assignment A's function; the images may have any role. Errors are those of
    `predict`.

    Args:
        model: Takes float images (N, 3, H, W) in [0, 1] and returns logits (N, num_classes).
        loader: An image set, or a loader of (images, labels).
        views: "single"; or "mirror" or "six", as in `predict`. Say so with such a figure: the same
            weights are a point better, and inference takes two or six times as long.

    Example:
        >>> import cifar_lab as lab
        >>> train, validation = lab.split(lab.load("synthetic").train, seed=0)
        >>> accuracy = lab.test_accuracy(lab.build_model("convnet"), validation)
        >>> 0 <= accuracy <= 100
        True
    """
    return _percent_right(*predict(model, loader, views=views))


def accuracy_and_loss(
    model: nn.Module, loader: ImageSet | Loader, ranks: Ranks = ALONE
) -> tuple[float, float]:
    """Return `test_accuracy` and the images' mean cross-entropy, from the same logits.

    Args:
        model: Takes float images (N, 3, H, W) in [0, 1] and returns logits (N, num_classes).
        loader: An image set, or a loader of (images, labels): this process's share of the images.
        ranks: The processes that measure together; all get the figures of all images.
    """
    logits, labels = predict(model, loader)
    right = int((logits.argmax(dim=1) == labels).sum())
    loss = functional.cross_entropy(logits, labels).item()
    sums = ranks.gather((right, loss * len(labels), len(labels)))
    all_right, all_losses, count = map(sum, zip(*sums, strict=True))
    return 100 * (all_right / count), all_losses / count


test_accuracy.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test, in spite of its name


def evaluate(
    model: nn.Module,
    test: ImageSet | Loader | None = None,
    *,
    batch_size: int = 32,
    max_parameters: int = MAX_PARAMETERS,
) -> float:
    """Measure the test accuracy of a model with under a million parameters: assignment B's grade.

    The accuracy is also printed, in a notebook in bold red.

    Args:
        model: Takes images (N, 3, 32, 32) in [0, 1], and normalises them itself.
        test: The test images; None for CIFAR-100's.
        batch_size: The number of images in a batch.
        max_parameters: The model must have fewer parameters than this.

    Returns:
        The top-1 accuracy in percent.

    Raises:
        TypeError: The model is not a `torch.nn.Module`, but its class, say.
        ValueError: The model has too many parameters, the images are not test images, or `predict`
            can't run the model on them.

    Example:
        >>> import cifar_lab as lab
        >>> model = lab.build_model("smallcifarnet", num_classes=10)
        >>> accuracy = lab.evaluate(model, lab.load("synthetic").test)  # doctest: +ELLIPSIS
        Test accuracy: ... %
    """
    require_network(model)
    parameters = count_parameters(model)
    if parameters >= max_parameters:
        raise ValueError(
            f"The model has {parameters:,} parameters; expected fewer than {max_parameters:,}. "
            f"Remove at least {parameters - max_parameters + 1:,}: "
            "cifar_lab.count_parameters(layer) says how many each layer has."
        )
    test = _cifar100_test_images() if test is None else test
    if any(source.role is not Role.TEST for source in sources_of(test)):
        raise ValueError(
            "The images' role is not 'test'; expected test images, such as data.test. Use "
            "test_accuracy for other images."
        )
    logits, labels = predict(model, test, batch_size)
    accuracy = _percent_right(logits, labels)
    _show_in_red(f"Test accuracy: {accuracy:.2f} %")
    return accuracy


@lru_cache
def _cifar100_test_images() -> ImageSet:
    """Load CIFAR-100's test images once, so that their uses are counted over all evaluations."""
    return load("cifar100").test


def _show_in_red(text: str) -> None:
    """Show a text as red HTML in a notebook, and print it elsewhere."""
    try:
        from IPython import get_ipython
        from IPython.display import HTML, display
    except ImportError:
        print(text)
        return
    if get_ipython() is None:
        print(text)
    else:
        display(HTML(f'<b style="color: red">{text}</b>'))


def _percent_right(logits: Tensor, labels: Tensor) -> float:
    return 100 * (logits.argmax(dim=1) == labels).double().mean().item()


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


def accuracy_under_shift(
    model: nn.Module, image_set: ImageSet, shifts: Sequence[int]
) -> list[float]:
    """Return the top-1 accuracy in percent for images shifted right, for each number of pixels.

    Pixels that leave on the right come in on the left, so nothing of an image is lost.

    Args:
        model: Takes float images (N, 3, H, W) in [0, 1] and returns logits (N, num_classes).
        image_set: The images before the shift.
        shifts: The numbers of pixels to shift by.
    """
    return [
        test_accuracy(
            model, replace(image_set, images=image_set.images.roll(operator.index(shift), dims=3))
        )
        for shift in shifts
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
