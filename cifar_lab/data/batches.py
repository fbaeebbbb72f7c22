"""Batches of images on a device, from an image set or from a custom loader.

A batch of an image set is gathered, converted to [0, 1] and augmented on the device where the
images are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from cifar_lab.data.augment import CutMix, MixUp
from cifar_lab.data.augment.common import Transform
from cifar_lab.data.image_set import ImageSet, gather, to_unit_interval
from cifar_lab.utils.devices import as_device, to_device
from cifar_lab.utils.plain import as_whole
from cifar_lab.utils.seeding import check_seed, generator

Loader = Iterable[tuple[Tensor, Tensor]]
"""An iterable of batches (images, labels): `Batches`, a `DataLoader`, a list of pairs."""


class Batches:
    """Batches of (images, labels) on a device: float32 in [0, 1], N x 3 x H x W; int64, N.

    Every image comes once per epoch; the last batch may be smaller. The order of the images and
    the draws of `transform` depend on (seed, epoch) alone. Each iteration is the next epoch; set
    `epoch` to start at another one.

    Args:
        image_set: The images and their labels.
        batch_size: The number of images in a batch.
        shuffle: Whether the images come in a new random order in every epoch.
        seed: Seeds the order of the images, `transform` and `mix`.
        transform: Changes a batch of images at random, drawn per image; None for no change.
        mix: CutMix or MixUp, by default over the image set's classes. The labels are then soft:
            float32, N x classes. None for no mixing.
        mixed_epochs: The number of epochs, from the first, that are mixed; None for all.
        channels_last: Whether batches are channels-last in memory; otherwise they are contiguous,
            as a `DataLoader`'s are.
        device: The device that holds the images and the batches; None for the best available.

    Raises:
        ValueError: The image set is empty, or the batch size is below 1.

    Example:
        >>> import cifar_lab as lab
        >>> batches = lab.Batches(lab.load("synthetic").train, batch_size=64, shuffle=True)
        >>> len(batches)
        157
        >>> images, labels = next(iter(batches))
        >>> images.shape, labels.shape
        (torch.Size([64, 3, 32, 32]), torch.Size([64]))
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        transform: Transform | None = None,
        mix: CutMix | MixUp | None = None,
        mixed_epochs: int | None = None,
        channels_last: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        if not isinstance(image_set, ImageSet):
            raise TypeError(
                f"This is a {type(image_set).__name__}; expected an ImageSet, such as data.train. "
                "For batches of another dataset use torch.utils.data.DataLoader."
            )
        seed = check_seed(seed)
        batch_size = as_whole("batch_size", batch_size, at_least=1)
        if len(image_set) == 0:
            raise ValueError(f"The {image_set.role.value} set is empty; expected images in it.")
        self.device = as_device(device)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.transform = transform
        if mix is not None and mix.num_classes is None:
            mix = replace(mix, num_classes=image_set.num_classes)
        self.mix = mix
        self.mixed_epochs = math.inf if mixed_epochs is None else mixed_epochs
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        moved = image_set.to(self.device)
        # Converted once here, not for each batch. Transforms are fastest on channels-last images.
        kept_in = self.memory_format if transform is None and mix is None else torch.channels_last
        self.dataset = replace(moved, images=moved.images.contiguous(memory_format=kept_in))
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.sizes())

    def sizes(self) -> list[int]:
        """Return the number of images in each batch.

        Batch norm can't train on a single image. Where the last batch would have only one, that
        image joins the batch before it.
        """
        count, size = len(self.dataset), self.batch_size
        sizes = [size] * (count // size) + [count % size] * (count % size > 0)
        if size > 1 and len(sizes) > 1 and sizes[-1] == 1:
            sizes = [*sizes[:-2], size + 1]
        return sizes

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        # On the CPU, as the order: the host need not wait for the device to know what was drawn.
        draws = generator(self.seed, epoch, "transform")
        for indices in self._order(epoch).split(self.sizes()):
            images = to_unit_interval(gather(self.dataset.images, indices))
            labels = self.dataset.labels[indices]
            if self.transform is not None:
                images = self.transform(images, draws)
            if self.mix is not None and epoch < self.mixed_epochs:
                images, labels = self.mix(images, labels, draws)
            yield images.contiguous(memory_format=self.memory_format), labels

    def _order(self, epoch: int) -> Tensor:
        """Return the epoch's order, drawn on the CPU so that it is the same for every device."""
        if not self.shuffle:
            return torch.arange(len(self.dataset), device=self.device)
        order = torch.randperm(len(self.dataset), generator=generator(self.seed, epoch, "order"))
        return to_device(order, self.device)


def as_loader(
    data: ImageSet | Loader,
    batch_size: int,
    device: torch.device,
    **options: Any,
) -> Loader:
    """Return batches of an image set, with the options of `Batches`; return a loader as it is.

    Raises:
        TypeError: The data is not a loader, or an iterator, which can be read only once.
    """
    if isinstance(data, ImageSet):
        return Batches(data, batch_size, device=device, **options)
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        raise TypeError(
            f"This is a {type(data).__name__}, a dataset of single images; expected an ImageSet or "
            "a loader of batches. Wrap it: torch.utils.data.DataLoader(it, batch_size=64), with "
            "shuffle=True for training."
        )
    if not isinstance(data, Iterable) or isinstance(data, Iterator):
        raise TypeError(
            f"This is a {type(data).__name__}; expected an ImageSet, or a loader that can be read "
            "again every epoch, such as a torch.utils.data.DataLoader or a list of batches."
        )
    return data


def sources_of(data: Any) -> list[ImageSet]:
    """Return the image sets behind a loader, a progress bar, a `Subset` or a `ConcatDataset`.

    These may be nested; the list is empty where there is no image set behind them.
    """
    if isinstance(data, ImageSet):
        return [data]
    return [source for part in parts_of(data) for source in sources_of(part)]


def parts_of(data: Any) -> Iterable[Any]:
    """Return the parts that a loader, a dataset or a progress bar wraps, if it names them."""
    for name in ("dataset", "iterable"):
        if hasattr(data, name):
            return [getattr(data, name)]
    return getattr(data, "datasets", [])


def num_classes_of(data: Any) -> int | None:
    """Return the number of classes, or None where the data is a loader without an image set."""
    return next((source.num_classes for source in sources_of(data)), None)


def batches_on(loader: Loader, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a loader's batches, checked and moved to the device, in their own memory layout.

    Raises:
        TypeError, ValueError: A batch is not float32 images (N, C, H, W) with int64 labels (N,), or
            soft labels (N, num_classes).
        ValueError: The loader gives no batch at all.
    """
    empty = True
    for batch in loader:
        images, labels = _checked(batch)
        empty = False
        yield to_device(images, device), to_device(labels, device)
    if empty:
        raise ValueError("The loader gave no batches; expected at least one (images, labels).")


def _checked(batch: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        parts = f" of {len(batch)}" if isinstance(batch, tuple | list | dict) else ""
        raise TypeError(
            f"A batch is a {type(batch).__name__}{parts}; expected a pair (images, labels). Make "
            "the loader's Dataset or collate_fn return only those two."
        )
    images, labels = batch
    if not torch.is_tensor(images) or images.dtype != torch.float32:
        found = images.dtype if torch.is_tensor(images) else type(images).__name__
        raise TypeError(
            f"A batch's images are {found}; expected a float32 tensor in [0, 1]. Convert uint8 "
            "images with images.float() / 255, PIL images with torchvision's ToTensor(), "
            "others with torch.as_tensor(images).float()."
        )
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"A batch's images have shape {tuple(images.shape)}; expected at least one image "
            "and 4 dimensions: (images, channels, height, width). A DataLoader makes batches of "
            "single images."
        )
    if torch.is_tensor(labels) and labels.is_floating_point() and labels.ndim == 2:
        classes: tuple[int, ...] = labels.shape[1:]  # soft labels, a share for each class
    elif torch.is_tensor(labels) and labels.dtype == torch.int64:
        classes = ()
    else:
        found = labels.dtype if torch.is_tensor(labels) else type(labels).__name__
        raise TypeError(
            f"A batch's labels are {found}; expected an int64 tensor of class numbers, such as "
            "torch.as_tensor(labels).long()."
        )
    if labels.shape != (len(images), *classes):
        hint = " Use labels.squeeze(1)." if labels.shape[1:] == (1,) else ""
        raise ValueError(
            f"A batch has {len(images)} images and labels of shape {tuple(labels.shape)}; "
            f"expected ({len(images)},), one label per image.{hint}"
        )
    return images, labels


def check_class_numbers(labels: Tensor) -> None:
    """Raise a ValueError for soft labels, which have no accuracy."""
    if labels.ndim != 1:
        raise ValueError(
            f"Labels have shape {tuple(labels.shape)}; expected (N,), one class number per image: "
            "an accuracy can't be computed from soft labels. Evaluate on data without CutMix and "
            "MixUp."
        )
