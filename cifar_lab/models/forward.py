"""A forward pass of any network, with errors that say why the network and the batch don't fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.models.wrapping import unwrap


def check_logits(logits: Tensor, labels: Tensor, num_classes: int | None = None) -> None:
    """Raise unless the model gave one logit per class for every image.

    Args:
        logits: The model's outputs.
        labels: Class numbers (N,) or soft labels (N, num_classes). The class numbers must be less
            than the number of logits. They are not checked on an accelerator, since reading them
            would make the host wait for it.
        num_classes: The number of classes of the data; None where it is not known.

    Raises:
        TypeError: The model's outputs are not a tensor.
        ValueError: The outputs don't match the images, the classes or the labels.
    """
    if not torch.is_tensor(logits):
        raise TypeError(
            f"The model gave a {type(logits).__name__}; expected a tensor of logits, "
            "(images, classes). Return it from the model's forward."
        )
    if logits.ndim != 2 or len(logits) != len(labels):
        raise ValueError(
            f"The model gave outputs of shape {tuple(logits.shape)} for {len(labels)} images; "
            f"expected ({len(labels)}, number of classes), one row of logits per image."
        )
    if num_classes is not None and logits.shape[1] != num_classes:
        raise ValueError(
            f"The model gives {logits.shape[1]} outputs per image, but the images have "
            f"{num_classes} classes. Build it with num_classes={num_classes}."
        )
    if labels.ndim == 2:
        if labels.shape != logits.shape:
            raise ValueError(
                f"Soft labels have shape {tuple(labels.shape)}, the model's outputs "
                f"{tuple(logits.shape)}; expected the same, a share for each class."
            )
    elif labels.device.type == "cpu" and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"Labels run from {int(labels.min())} to {int(labels.max())}, but the model has "
            f"{logits.shape[1]} outputs; expected labels from 0 to {logits.shape[1] - 1}."
        )


class LogitsCheck:
    """A call of `check_logits` for every batch of an epoch of training.

    Args:
        num_classes: The number of classes of the data; None where it is not known.
    """

    def __init__(self, num_classes: int | None) -> None:
        self._num_classes = num_classes
        self._is_first = True

    def __call__(self, logits: Tensor, labels: Tensor) -> None:
        """Raise unless the logits fit; the first batch's labels are checked on every device.

        On CUDA a label that is too large would make all later operations of the process fail.
        """
        check_logits(logits, labels.cpu() if self._is_first else labels, self._num_classes)
        self._is_first = False


def run_model(model: nn.Module, images: Tensor) -> Any:
    """Return the model's outputs for a batch.

    Raises:
        ValueError: The forward pass fails; the message says why, and what to do.
    """
    try:
        return model(images)
    except torch.cuda.OutOfMemoryError:
        raise
    except ValueError as error:  # batch norm raises it for a single image
        if len(images) > 1 or not model.training:
            raise
        raise ValueError(
            f"A batch has a single image, which {type(unwrap(model)).__name__} can't be trained "
            f"on: {error}. Give the DataLoader drop_last=True, or take another batch size."
        ) from error
    except RuntimeError as error:
        raise ValueError(_explain(model, images, error)) from error


def _explain(model: nn.Module, images: Tensor, error: Exception) -> str:
    """Return the reason for a failed forward pass: the number format, or else the shape."""
    name = type(unwrap(model)).__name__
    kinds = {weight.dtype for weight in model.parameters() if weight.is_floating_point()}
    if kinds and images.dtype not in kinds:
        return (
            f"{name} has weights of {', '.join(map(str, kinds))}, the images are {images.dtype}: "
            f"{error}. Expected a model in {images.dtype}: call model.float(). To train in half "
            'precision, leave the weights as they are and set precision="auto".'
        )
    return (
        f"{name} can't take images of shape {tuple(images.shape)}: {error}. "
        "Expected (images, 3, 32, 32) for CIFAR; build the model for the shape of the images."
    )


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's parameters (the CPU for a model without any)."""
    return next(model.parameters(), torch.empty(0)).device


def logits_in(outputs: Any) -> list[Any]:
    """Return the logits among a network's outputs, several where these are a tuple.

    The first are the model's logits. The others, of the same shape, are those of auxiliary
    classifiers, such as GoogLeNet's in training.
    """
    if not isinstance(outputs, tuple | list) or not outputs:
        return [outputs]
    first, *others = outputs
    shape = getattr(first, "shape", None)
    return [first, *(each for each in others if torch.is_tensor(each) and each.shape == shape)]


def are_probabilities(outputs: Tensor) -> bool:
    """Return whether outputs, (N, num_classes), are at least 0 and sum to 1 for each image."""
    sums = outputs.sum(dim=-1)
    return bool(outputs.min() >= 0) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
