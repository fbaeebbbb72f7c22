"""What `fit` and `evaluate` take: an image set, or anyone's own loader of (images, labels)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.data import Batches, ImageSet, Role

Loader = Iterable[tuple[Tensor, Tensor]]
"""Gives batches (images, labels) each time it is iterated: `Batches`, a `DataLoader`, a list."""


def as_loader(
    data: ImageSet | Loader,
    batch_size: int,
    device: torch.device,
    *,
    shuffle: bool = False,
    seed: int = 0,
) -> Loader:
    """Batches of an image set; a loader stays what it is.

    Raises:
        TypeError: not a loader, or an iterator, which can be read only once.
    """
    if isinstance(data, ImageSet):
        return Batches(data, batch_size, shuffle=shuffle, seed=seed, device=device)
    if not isinstance(data, Iterable) or isinstance(data, Iterator):
        raise TypeError(
            f"This is a {type(data).__name__}; expected an ImageSet, or a loader that can be read "
            "again every epoch, such as a torch.utils.data.DataLoader or a list of batches."
        )
    return data


def source_of(data: Any) -> ImageSet | None:
    """The image set behind a loader, a `Subset` or several of them inside each other, if any."""
    while not isinstance(data, ImageSet) and hasattr(data, "dataset"):
        data = data.dataset
    return data if isinstance(data, ImageSet) else None


def refuse_test_images(data: ImageSet | Loader, purpose: str) -> None:
    """Raise a ValueError where the data is known to be of the test role."""
    source = source_of(data)
    if source is not None and source.role is Role.TEST:
        raise ValueError(
            f"These are test images, and the test set is for the final evaluation, not for "
            f"{purpose}. Use the training images, or a validation split of them: "
            "cifar_lab.split(data.train, seed=...)."
        )


def batches_on(loader: Loader, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """A loader's batches, checked, on the device, the images channels-last.

    Raises:
        TypeError, ValueError: a batch is not float images (N, C, H, W) with int64 labels (N,).
        ValueError: the loader gives no batch at all.
    """
    empty = True
    for batch in loader:
        images, labels = _checked(batch)
        empty = False
        yield (
            images.to(device, non_blocking=True, memory_format=torch.channels_last),
            labels.to(device, non_blocking=True),
        )
    if empty:
        raise ValueError("The loader gave no batches; expected at least one (images, labels).")


def _checked(batch: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"A batch is a {type(batch).__name__}; expected a pair (images, labels).")
    images, labels = batch
    if not torch.is_tensor(images) or not images.is_floating_point():
        found = images.dtype if torch.is_tensor(images) else type(images).__name__
        raise TypeError(
            f"A batch's images are {found}; expected a float tensor in [0, 1]. uint8 images become "
            "that with images.float() / 255, PIL images with torchvision's ToTensor()."
        )
    if images.ndim != 4:
        raise ValueError(
            f"A batch's images have shape {tuple(images.shape)}; expected 4 dimensions: "
            "(images, channels, height, width)."
        )
    if not torch.is_tensor(labels) or labels.dtype != torch.int64:
        found = labels.dtype if torch.is_tensor(labels) else type(labels).__name__
        raise TypeError(f"A batch's labels are {found}; expected an int64 tensor of class numbers.")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"A batch has {len(images)} images and labels of shape {tuple(labels.shape)}; "
            f"expected ({len(images)},), one label an image."
        )
    return images, labels


def check_logits(logits: Tensor, labels: Tensor, num_classes: int | None = None) -> None:
    """Raise a ValueError unless the model gave one logit per class for every image.

    Without `num_classes` the labels must at least have a logit each; labels on an accelerator are
    not looked at, since that would make the host wait for it.
    """
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
    if labels.device.type == "cpu" and not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(
            f"Labels run from {int(labels.min())} to {int(labels.max())}, but the model has "
            f"{logits.shape[1]} outputs; expected labels from 0 to {logits.shape[1] - 1}."
        )


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's parameters (the CPU for a model without any)."""
    return next(model.parameters(), torch.empty(0)).device
