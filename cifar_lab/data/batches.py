"""Batches of images on a device, from an image set or from anyone's own loader.

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

from cifar_lab.data.augment import CutMix, MixUp
from cifar_lab.data.augment.common import Transform
from cifar_lab.data.image_set import ImageSet, gather, to_unit_interval
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.plain import as_whole
from cifar_lab.utils.seeding import check_seed, generator

Loader = Iterable[tuple[Tensor, Tensor]]
"""Gives batches (images, labels) each time it is iterated: `Batches`, a `DataLoader`, a list."""


class Batches:
    """Batches of (images, labels) on a device: float32 in [0, 1], N x 3 x H x W; int64, N.

    Every image comes once an epoch; the last batch may be smaller. The order and what `transform`
    draws depend on (seed, epoch) alone. Each pass is the next epoch; set `epoch` to go elsewhere.

    Args:
        image_set: the images.
        batch_size: images in a batch.
        shuffle: in a new random order every epoch, or in the set's own.
        seed: the run's seed.
        transform: a random change of a whole batch of images, drawn per image.
        mix: CutMix or MixUp, by default over the image set's classes; the labels then come out
            soft, float32, N x classes.
        mixed_epochs: how many epochs, from the first on, are mixed; None for all.
        channels_last: the images' layout in memory; otherwise contiguous, as a `DataLoader`'s are.
        device: where the images are kept and the batches come out; None for the best there is.

    Raises:
        ValueError: an empty image set, or a batch size below 1.
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
        # Turned here once, not batch by batch. Transforms are fastest on channels-last images.
        kept_in = self.memory_format if transform is None and mix is None else torch.channels_last
        self.dataset = replace(moved, images=moved.images.contiguous(memory_format=kept_in))
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.sizes())

    def sizes(self) -> list[int]:
        """Images in each batch. One image alone has no variance for batch norm, so it joins others.

        That is the last one, where it would be a batch of its own; its batch has one more.
        """
        count, size = len(self.dataset), self.batch_size
        sizes = [size] * (count // size) + [count % size] * (count % size > 0)
        if size > 1 and len(sizes) > 1 and sizes[-1] == 1:
            sizes = [*sizes[:-2], size + 1]
        return sizes

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        draws = generator(self.seed, epoch, "transform", self.device)
        for indices in self._order(epoch).split(self.sizes()):
            images = to_unit_interval(gather(self.dataset.images, indices))
            labels = self.dataset.labels[indices]
            if self.transform is not None:
                images = self.transform(images, draws)
            if self.mix is not None and epoch < self.mixed_epochs:
                images, labels = self.mix(images, labels, draws)
            yield images.contiguous(memory_format=self.memory_format), labels

    def _order(self, epoch: int) -> Tensor:
        """This epoch's order, drawn on the CPU so that it is the same for every device."""
        if not self.shuffle:
            return torch.arange(len(self.dataset), device=self.device)
        order = torch.randperm(len(self.dataset), generator=generator(self.seed, epoch, "order"))
        return order.to(self.device)


def as_loader(
    data: ImageSet | Loader,
    batch_size: int,
    device: torch.device,
    **options: Any,
) -> Loader:
    """Batches of an image set, with the options of `Batches`; a loader stays what it is.

    Raises:
        TypeError: not a loader, or an iterator, which can be read only once.
    """
    if isinstance(data, ImageSet):
        return Batches(data, batch_size, device=device, **options)
    if not isinstance(data, Iterable) or isinstance(data, Iterator):
        raise TypeError(
            f"This is a {type(data).__name__}; expected an ImageSet, or a loader that can be read "
            "again every epoch, such as a torch.utils.data.DataLoader or a list of batches."
        )
    return data


def sources_of(data: Any) -> list[ImageSet]:
    """The image sets behind a loader, a `Subset`, a `ConcatDataset` or a nest of them, if any.

    Also behind a progress bar around a loader.
    """
    if isinstance(data, ImageSet):
        return [data]
    return [source for part in parts_of(data) for source in sources_of(part)]


def parts_of(data: Any) -> Iterable[Any]:
    """What a loader, a data set or a progress bar takes its content from, as far as it tells."""
    for name in ("dataset", "iterable"):
        if hasattr(data, name):
            return [getattr(data, name)]
    return getattr(data, "datasets", [])


def num_classes_of(data: Any) -> int | None:
    """How many classes the data has, where that is known."""
    return next((source.num_classes for source in sources_of(data)), None)


def batches_on(loader: Loader, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """A loader's batches, checked, on the device, in the memory layout in which they come.

    Raises:
        TypeError, ValueError: a batch is not float32 images (N, C, H, W) with int64 labels (N,), or
            soft labels (N, num_classes).
        ValueError: the loader gives no batch at all.
    """
    empty = True
    for batch in loader:
        images, labels = _checked(batch)
        empty = False
        yield (
            images.to(device, non_blocking=True),
            labels.to(device, non_blocking=True),
        )
    if empty:
        raise ValueError("The loader gave no batches; expected at least one (images, labels).")


def _checked(batch: Any) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        parts = f" of {len(batch)}" if isinstance(batch, tuple | list | dict) else ""
        raise TypeError(
            f"A batch is a {type(batch).__name__}{parts}; expected a pair (images, labels). Let "
            "the loader's Dataset or collate_fn give those two alone."
        )
    images, labels = batch
    if not torch.is_tensor(images) or images.dtype != torch.float32:
        found = images.dtype if torch.is_tensor(images) else type(images).__name__
        raise TypeError(
            f"A batch's images are {found}; expected a float32 tensor in [0, 1]. uint8 images "
            "become that with images.float() / 255, PIL images with torchvision's ToTensor(), "
            "others with torch.as_tensor(images).float()."
        )
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"A batch's images have shape {tuple(images.shape)}; expected at least one image "
            "and 4 dimensions: (images, channels, height, width)."
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
        hint = " They become that with labels.squeeze(1)." if labels.shape[1:] == (1,) else ""
        raise ValueError(
            f"A batch has {len(images)} images and labels of shape {tuple(labels.shape)}; "
            f"expected ({len(images)},), one label an image.{hint}"
        )
    return images, labels


def check_class_numbers(labels: Tensor) -> None:
    """Raise a ValueError for soft labels: accuracy is of one class an image."""
    if labels.ndim != 1:
        raise ValueError("Evaluation needs one class number an image, not soft labels.")
