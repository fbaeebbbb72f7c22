"""The test set takes no part in training: test images are refused wherever they turn up.

Image sets know their role. Test images that come without one (copied tensors, a student's own
dataset) are recognised by fingerprints of CIFAR's official test images, which the package brings
along, on whichever of the usual scales a loader gives them. Changed pixels change a fingerprint,
so augmented copies are not recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cifar_lab.data.batches import Batches, Loader, parts_of, sources_of
from cifar_lab.data.cifar import CIFAR10_MEAN, CIFAR10_STD, CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.utils.errors import LeakedTestImagesError

IMAGE_SHAPE = (3, 32, 32)
# How loaders scale a pixel's share of 255: (share - mean) / deviation, for each of the channels.
SCALES: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # in [0, 1]
    ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),  # from 0 to 255
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    (CIFAR10_MEAN, CIFAR10_STD),
    (CIFAR10_MEAN, (0.2023, 0.1994, 0.2010)),  # wrong, and in a thousand notebooks
    (CIFAR100_MEAN, CIFAR100_STD),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet's
)
ROUNDED_BY = 0.4  # of a level: means and deviations are written with few digits
SAMPLED = 8  # every so many rows and columns tell whether a scale is an image's
IMAGES_AT_A_TIME = 100  # few enough for a processor's cache: ten times as fast as 500


def fingerprints(images: Tensor) -> Tensor:
    """One number an image, the same for the same pixels: uint8 (N, 3, 32, 32) -> int64 (N,).

    A sum of the pixels with fixed random 64-bit weights, modulo 2**64: two different images share
    theirs with a chance of about 1 in 10**19.
    """
    weights = _weights().to(images.device)
    return torch.cat(
        [
            (part.reshape(len(part), -1).to(torch.int64) * weights).sum(dim=1)
            for part in images.split(IMAGES_AT_A_TIME)
        ]
    )


@lru_cache
def _weights() -> Tensor:
    count = int(np.prod(IMAGE_SHAPE))
    stream = hashlib.shake_256(b"cifar_lab fingerprints").digest(8 * count)
    return torch.from_numpy(np.frombuffer(stream, dtype="<i8").astype(np.int64))


@lru_cache
def official_test_fingerprints() -> Tensor:
    """Of CIFAR-10's and CIFAR-100's test images, but for those that are training images too."""
    with resources.as_file(resources.files("cifar_lab.data") / "test_fingerprints.npy") as path:
        return torch.from_numpy(np.load(path))


def refuse_also(test_sets: Iterable[Tensor]) -> None:
    """Refuse further test images in training: uint8, (N, 3, 32, 32) each."""
    numbers = [fingerprints(images).unique() for images in {id(i): i for i in test_sets}.values()]
    _further_fingerprints.append(torch.cat(numbers))


_further_fingerprints: list[Tensor] = []


def _refused_fingerprints() -> Tensor:
    return torch.cat([official_test_fingerprints(), *_further_fingerprints])


def identity(data: ImageSet | Loader) -> str:
    """A short text that differs for other images, or another order of them; "" for a loader."""
    if not isinstance(data, ImageSet):
        return ""
    images = data.images.cpu()
    numbers = fingerprints(images) if images.shape[1:] == IMAGE_SHAPE else images
    return f"{len(data)} of {data.dataset}, {_digest(numbers)}"


def labels_identity(data: ImageSet | Loader) -> str:
    """The same for its labels."""
    return _digest(data.labels.cpu()) if isinstance(data, ImageSet) else ""


def dataset_of(identity: str) -> str:
    """The dataset that an `identity` names; "" for a loader's."""
    return identity.partition(",")[0].partition(" of ")[2]


def _digest(numbers: Tensor) -> str:
    return hashlib.sha256(numbers.numpy().tobytes()).hexdigest()[:16]


def refuse_test_role(data: ImageSet | Loader, purpose: str) -> None:
    """Raise where an image set among the data, or behind a loader, is of the test role.

    Raises:
        LeakedTestImagesError: with what to use in its place.
    """
    if any(source.role is Role.TEST for source in sources_of(data)):
        raise _leak("These are test images", purpose)


def refuse_test_images(
    data: ImageSet | Loader, purpose: str, *, look_through_loaders: bool = True
) -> None:
    """Raise where the data is, or holds, test images, by their role or by their pixels.

    Args:
        data: an image set, or a loader.
        purpose: what the images are wanted for.
        look_through_loaders: also go once through the batches of a foreign loader.

    Raises:
        LeakedTestImagesError: with how many there are, and what to use in their place.
    """
    refuse_test_role(data, purpose)
    if isinstance(data, ImageSet | Batches):
        for source in sources_of(data):
            refuse_official_test_images(source.images, purpose)
        return
    for pixels in _pixels_of(data):
        refuse_official_test_images(torch.from_numpy(pixels).permute(0, 3, 1, 2), purpose)
    if look_through_loaders:
        for _ in Guarded(data, purpose):
            pass


def _pixels_of(data: Any) -> Iterator[np.ndarray]:
    """The pixels (N, 32, 32, 3) of torchvision's datasets behind a loader, before any transform."""
    pixels = getattr(data, "data", None)
    if isinstance(pixels, np.ndarray) and pixels.shape[1:] == (32, 32, 3):
        yield pixels
    for part in parts_of(data):
        if hasattr(data, "indices"):  # a Subset: only what it chose
            yield from (pixels[list(data.indices)] for pixels in _pixels_of(part))
        else:
            yield from _pixels_of(part)


def refuse_official_test_images(images: Tensor, purpose: str) -> None:
    """Raise where an image has the pixels of an official test image.

    Args:
        images: uint8, or floats on one of the `SCALES`; of another shape than CIFAR's they are not
            looked at.
        purpose: what the images are wanted for.

    Raises:
        LeakedTestImagesError: with how many there are.
    """
    if images.shape[1:] == (*IMAGE_SHAPE[1:], IMAGE_SHAPE[0]):
        images = images.permute(0, 3, 1, 2)
    if images.shape[1:] != IMAGE_SHAPE:
        return
    found = 0
    for pixels in _possible_pixels(images):
        # On the CPU: not every accelerator has 64-bit integers in all operations.
        found += int(torch.isin(fingerprints(pixels.cpu()), _refused_fingerprints()).sum())
    if found:
        raise _leak(f"{found:,} of {len(images):,} images are CIFAR's test images", purpose)


def _possible_pixels(images: Tensor) -> Iterator[Tensor]:
    """The pixels, uint8, of the images; of floats by each scale on which they are whole numbers."""
    if images.dtype == torch.uint8:
        yield images
        return
    few = images[:, :, ::SAMPLED, ::SAMPLED].float()
    for mean, deviation in SCALES:
        shift, factor = (
            torch.tensor(numbers, device=images.device).view(-1, 1, 1) * 255
            for numbers in (mean, deviation)
        )
        sample = few * factor + shift
        level = sample.round()
        fits = (sample - level).abs().le(ROUNDED_BY) & level.ge(0) & level.le(255)
        chosen = fits.flatten(1).all(dim=1)
        if chosen.any():
            part = images if chosen.all() else images[chosen]
            decoded = (part.float() * factor).add_(shift).round_().clamp_(0, 255)
            yield decoded.to(torch.uint8)


class Guarded:
    """A loader's batches, each looked through for official test images.

    Args:
        iterable: the loader.
        purpose: what the images are wanted for.

    Raises:
        LeakedTestImagesError: while it is iterated, at the batch that holds one.
    """

    def __init__(self, iterable: Loader, purpose: str) -> None:
        self.iterable = iterable
        self.purpose = purpose

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self.iterable:
            refuse_official_test_images(images, self.purpose)
            yield images, labels


def _leak(what: str, purpose: str) -> LeakedTestImagesError:
    return LeakedTestImagesError(
        f"{what}, and the test set is for the final evaluation, not for {purpose}. Use the "
        "training images, or a validation split of them: cifar_lab.split(data.train, seed=...)."
    )
