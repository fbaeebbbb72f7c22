"""A forward pass of anybody's network, with errors that say what it can't take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.models.wrapping import unwrap


def check_logits(logits: Tensor, labels: Tensor, num_classes: int | None = None) -> None:
    """Raise a ValueError unless the model gave one logit per class for every image.

    Without `num_classes` the labels must at least have a logit each; labels on an accelerator are
    not looked at, since that would make the host wait for it.
    """
    if not torch.is_tensor(logits):
        raise TypeError(
            f"The model gave a {type(logits).__name__}; expected a tensor of logits, "
            "(images, classes)."
        )
    if logits.ndim != 2 or len(logits) != len(labels):
        raise ValueError(
            f"The model gave outputs of shape {tuple(logits.shape)} for {len(labels)} images; "
            f"expected ({len(labels)}, number of classes), one row of logits an image."
        )
    if num_classes is not None and logits.shape[1] != num_classes:
        raise ValueError(
            f"The model gives {logits.shape[1]} outputs an image, but the images have "
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


def run_model(model: nn.Module, images: Tensor) -> Any:
    """The model's outputs for a batch.

    Raises:
        ValueError: it fails; the message says what of the images the model can't take.
    """
    try:
        return model(images)
    except torch.cuda.OutOfMemoryError:
        raise
    except ValueError as error:  # of batch norm in training, perhaps
        if len(images) > 1 or not model.training:
            raise
        raise ValueError(
            f"A batch has a single image, which {type(unwrap(model)).__name__} can't be trained "
            f"on: {error}. Give the DataLoader drop_last=True, or take another batch size."
        ) from error
    except RuntimeError as error:
        raise ValueError(_explain(model, images, error)) from error


def _explain(model: nn.Module, images: Tensor, error: Exception) -> str:
    """Why a model can't take images, in words: by its number format, or else by their shape."""
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
    """The device of the model's parameters (the CPU for a model without any)."""
    return next(model.parameters(), torch.empty(0)).device


def logits_in(outputs: Any) -> list[Any]:
    """The logits among a network's outputs: of a tuple, as GoogLeNet gives in training, several.

    The first are those that count; behind them come further ones of the same shape.
    """
    if not isinstance(outputs, tuple | list) or not outputs:
        return [outputs]
    first, *others = outputs
    shape = getattr(first, "shape", None)
    return [first, *(each for each in others if torch.is_tensor(each) and each.shape == shape)]
