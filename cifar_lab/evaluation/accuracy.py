"""The accuracy of a network, and the function that grades assignment B."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.batches import Loader, sources_of
from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.evaluation.prediction import predict, predict_by_views
from cifar_lab.models.counting import MAX_PARAMETERS, count_parameters
from cifar_lab.models.inspection import require_network
from cifar_lab.utils.ranks import ALONE, Ranks


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


test_accuracy.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test, in spite of its name


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


def accuracy_by_views(
    model: nn.Module, loader: ImageSet | Loader, views: str, ranks: Ranks = ALONE
) -> dict[str, float]:
    """Return `test_accuracy` of single views and of the views from one pass.

    Errors are those of `predict`.

    Args:
        model: Takes float images (N, 3, H, W) in [0, 1] and returns logits (N, num_classes).
        loader: An image set, or a loader of (images, labels): this process's share of the images.
        views: "single", or others, as in `predict`.
        ranks: The processes that measure together; all get the figures of all images.

    Returns:
        The accuracies in percent: of "single", and of the others by their name.
    """
    by_views, labels = predict_by_views(model, loader, views)
    own = {name: int((logits.argmax(dim=1) == labels).sum()) for name, logits in by_views.items()}
    gathered = ranks.gather((own, len(labels)))
    count = sum(images for _, images in gathered)
    return {name: 100 * (sum(right[name] for right, _ in gathered) / count) for name in own}


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
