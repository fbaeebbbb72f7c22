"""How good a model is, measured in float32 and eval mode, whatever it was trained in."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn

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
from cifar_lab.models.forward import check_logits, device_of, logits_in, run_model
from cifar_lab.models.inspection import evaluation_mode, materialize
from cifar_lab.models.layout import find_layout, is_written_here
from cifar_lab.utils.plain import as_whole

EVALUATION_BATCH_SIZE = 500
TRIED_IMAGES = 16  # of the first batch: enough to see which memory layout the network can take


def predict(
    model: nn.Module, data: ImageSet | Loader, batch_size: int = EVALUATION_BATCH_SIZE
) -> tuple[Tensor, Tensor]:
    """Logits and labels of all images, in the data's order.

    An image set counts each use (`image_set.uses.count`).

    Args:
        model: takes float images (N, 3, H, W) in [0, 1]; its mode is restored afterwards. Of a
            tuple that it gives, the first are its logits.
        data: an image set, or a loader of (images, labels), which brings its own batches.
        batch_size: images in a batch of an image set.

    Returns:
        Logits (N, num_classes) and labels (N,), both on the CPU.

    Raises:
        ValueError, TypeError: no batches, batches that are not images and labels, or a model whose
            outputs don't match the classes.
    """
    device = device_of(model)
    num_classes = num_classes_of(data)
    logits, labels = torch.empty(0, device=device), torch.empty(0, dtype=torch.int64, device=device)
    loader = as_loader(data, batch_size, device)
    for source in sources_of(data):
        source.uses.count += 1
    # Not in inference mode: what a network keeps of a pass could not be trained with any more.
    with evaluation_mode(model), torch.no_grad(), ExitStack() as stack:
        for number, (batch_images, batch_labels) in enumerate(batches_on(loader, device)):
            if number == 0:
                materialize(model, tuple(batch_images.shape[1:]))
            if number == 0 and device.type == "cpu" and is_written_here(model):
                layout = find_layout(model, batch_images[:TRIED_IMAGES])
                stack.enter_context(layout.within(model))
            batch_logits = logits_in(run_model(model, batch_images))[0]
            check_logits(batch_logits, batch_labels, num_classes)
            check_class_numbers(batch_labels)
            # Joined at once: many small tensors would lie between large ones' memory and split it.
            logits = torch.cat([logits, batch_logits])
            labels = torch.cat([labels, batch_labels])
    return logits.cpu(), labels.cpu()


def test_accuracy(model: nn.Module, loader: ImageSet | Loader) -> float:
    """Top-1 accuracy in percent: the share of images whose largest logit is their label's.

    Takes and raises what `predict` does. (Named after assignment A's function; it serves any role.)
    """
    return _percent_right(*predict(model, loader))


test_accuracy.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test, in spite of its name


def evaluate(
    model: nn.Module,
    test: ImageSet | Loader | None = None,
    *,
    batch_size: int = 32,
    max_parameters: int = MAX_PARAMETERS,
) -> float:
    """Assignment B's grade: the test accuracy of a model with fewer than a million parameters.

    In a notebook the accuracy is also shown in bold red.

    Args:
        model: takes images (N, 3, 32, 32) in [0, 1]; it brings its own normalisation.
        test: the test images; None for CIFAR-100's.
        batch_size: images in a batch.
        max_parameters: the model must have fewer.

    Returns:
        Top-1 accuracy in percent.

    Raises:
        TypeError: not a `torch.nn.Module`.
        ValueError: the model has too many parameters, the images are not of the test role, or
            `predict` can't run the model on them.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"This is a {type(model).__name__}; expected a torch.nn.Module.")
    parameters = count_parameters(model)
    if parameters >= max_parameters:
        raise ValueError(
            f"The model has {parameters:,} parameters; expected fewer than {max_parameters:,}. "
            f"Take away at least {parameters - max_parameters + 1:,}: "
            "cifar_lab.count_parameters(layer) tells where they are."
        )
    test = _cifar100_test_images() if test is None else test
    if any(source.role is not Role.TEST for source in sources_of(test)):
        raise ValueError("evaluate is for test images; test_accuracy measures on any others.")
    logits, labels = predict(model, test, batch_size)
    accuracy = _percent_right(logits, labels)
    _show_in_red(f"Test accuracy: {accuracy:.2f} %")
    return accuracy


@lru_cache
def _cifar100_test_images() -> ImageSet:
    """Loaded once, so that their uses are counted over all evaluations."""
    return load("cifar100").test


def _show_in_red(text: str) -> None:
    """As HTML in a notebook, as plain text elsewhere."""
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
    """Counts (num_classes, num_classes): row = the true class, column = the predicted one.

    Args:
        predictions: int64, (N,): class numbers, such as `logits.argmax(dim=1)`.
        labels: int64, (N,).
        num_classes: rows and columns.

    Raises:
        ValueError: a prediction or a label that is none of the classes.
    """
    num_classes = as_whole("num_classes", num_classes, at_least=1)
    for name, classes in (("predictions", predictions), ("labels", labels)):
        if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(
                f"{name} run from {int(classes.min())} to {int(classes.max())}; expected classes "
                f"from 0 to {num_classes - 1}."
            )
    pairs = labels * num_classes + predictions
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def most_confused(confusion: Tensor, count: int) -> list[tuple[int, int, int]]:
    """The `count` largest errors as (true class, predicted class, images), largest first."""
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
    """Top-1 accuracy in percent with all images shifted to the right by each number of pixels.

    What leaves on the right comes in again on the left, so nothing of an image is lost.
    """
    return [
        test_accuracy(
            model, replace(image_set, images=image_set.images.roll(operator.index(shift), dims=3))
        )
        for shift in shifts
    ]


def superclass_labels(class_names: Sequence[str]) -> Tensor:
    """Each class's superclass as an index into `CIFAR100_SUPERCLASSES`: int64, (num_classes,).

    Raises:
        ValueError: a class that is not CIFAR-100's.
    """
    index_of = {
        member: index
        for index, members in enumerate(CIFAR100_SUPERCLASSES.values())
        for member in members
    }
    unknown = [name for name in class_names if name not in index_of]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no class of CIFAR-100, which alone has superclasses.")
    return torch.tensor([index_of[name] for name in class_names])


def superclass_confusion(confusion: Tensor, class_names: Sequence[str]) -> Tensor:
    """A confusion matrix of classes (100, 100) -> one of superclasses (20, 20); rows are the truth.

    Raises:
        ValueError: another matrix than of these classes, or classes that are not CIFAR-100's.
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
