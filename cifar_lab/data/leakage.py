"""A guard of the test set: test images are refused in training and validation.

Image sets know their role. Test images without a role (copied tensors, a custom dataset) are
recognised by the fingerprints of CIFAR's official test images, which come with the package. A
loader may scale its images in any of the usual ways. Changed pixels change a fingerprint, so
augmented copies are not recognised.
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

from cifar_lab.data.batches import Batches, Loader, batches_on, parts_of, sources_of
from cifar_lab.data.cifar import CIFAR10_MEAN, CIFAR10_STD, CIFAR100_MEAN, CIFAR100_STD
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.utils.errors import LeakedTestImagesError

IMAGE_SHAPE = (3, 32, 32)
# Usual ways to scale pixels in [0, 1]: (pixel - mean) / deviation, for each channel.
SCALES: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),  # in [0, 1]
    ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),  # from 0 to 255
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    (CIFAR10_MEAN, CIFAR10_STD),
    (CIFAR10_MEAN, (0.2023, 0.1994, 0.2010)),  # wrong, but in many published notebooks
    (CIFAR100_MEAN, CIFAR100_STD),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet's
)
ROUNDED_BY = 0.4  # levels of 0 to 255, since means and deviations are written with few digits
SAMPLED = 8  # each 8th row and column is enough to see whether a scale fits an image
IMAGES_AT_A_TIME = 100  # they fit into a processor's cache; 500 at a time take ten times as long


def fingerprints(images: Tensor) -> Tensor:
    """Map images (N, 3, 32, 32), uint8, to one number per image (N,), int64, from their pixels.

    The number is the sum of the pixels with fixed random 64-bit weights, modulo 2**64. Two
    different images have the same one with a probability of about 1 in 10**19.
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
    """Load the fingerprints of CIFAR-10's and CIFAR-100's test images.

    Test images that are also among the training images are left out.
    """
    with resources.as_file(resources.files("cifar_lab.data") / "test_fingerprints.npy") as path:
        return torch.from_numpy(np.load(path))


def refuse_also(test_sets: Iterable[Tensor]) -> None:
    """Refuse these test images in training too; each set is (N, 3, 32, 32), uint8."""
    numbers = [fingerprints(images).unique() for images in {id(i): i for i in test_sets}.values()]
    _further_fingerprints.append(torch.cat(numbers))


_further_fingerprints: list[Tensor] = []


def _refused_fingerprints() -> Tensor:
    return torch.cat([official_test_fingerprints(), *_further_fingerprints])


def identity(data: ImageSet | Loader) -> str:
    """Return a short text that depends on all images and their order; "" for a loader."""
    if not isinstance(data, ImageSet):
        return ""
    images = data.images.cpu()
    numbers = fingerprints(images) if images.shape[1:] == IMAGE_SHAPE else images
    return f"{len(data)} of {data.dataset}, {_digest(numbers)}"


def labels_identity(data: ImageSet | Loader) -> str:
    """Return a short text that depends on all labels and their order; "" for a loader."""
    return _digest(data.labels.cpu()) if isinstance(data, ImageSet) else ""


def dataset_of(identity: str) -> str:
    """Return the name of the dataset in the text that `identity` returned; "" for a loader."""
    return identity.partition(",")[0].partition(" of ")[2]


def _digest(numbers: Tensor) -> str:
    return hashlib.sha256(numbers.numpy().tobytes()).hexdigest()[:16]


def refuse_test_role(data: ImageSet | Loader, purpose: str) -> None:
    """Raise if the data is an image set of the test role, or a loader of one.

    Args:
        data: An image set or a loader.
        purpose: The use that the images are meant for: "training" or "validation".

    Raises:
        LeakedTestImagesError: The data is of the test role; the message says what to use instead.
    """
    if any(source.role is Role.TEST for source in sources_of(data)):
        raise _leak("These are test images", purpose)


def refuse_test_images(
    data: ImageSet | Loader, purpose: str, *, look_through_loaders: bool = True
) -> None:
    """Raise if the data holds test images, by their role or by their pixels.

    Args:
        data: An image set or a loader.
        purpose: The use that the images are meant for: "training" or "validation".
        look_through_loaders: Whether to read all batches of a custom loader once, too.

    Raises:
        LeakedTestImagesError: The data holds test images; the message says how many, and what to
            use instead.
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
    """Yield the pixels (N, 32, 32, 3) of torchvision's datasets behind a loader, untransformed."""
    pixels = getattr(data, "data", None)
    if isinstance(pixels, np.ndarray) and pixels.shape[1:] == (32, 32, 3):
        yield pixels
    for part in parts_of(data):
        if hasattr(data, "indices"):  # a Subset
            yield from (pixels[list(data.indices)] for pixels in _pixels_of(part))
        else:
            yield from _pixels_of(part)


def refuse_official_test_images(images: Tensor, purpose: str) -> None:
    """Raise if an image has the pixels of an official test image.

    Args:
        images: The images (N, 3, 32, 32) or (N, 32, 32, 3), uint8, or floats in one of the
            `SCALES`. Images of another shape pass.
        purpose: The use that the images are meant for: "training" or "validation".

    Raises:
        LeakedTestImagesError: There are test images; the message says how many.
    """
    if images.shape[1:] == (*IMAGE_SHAPE[1:], IMAGE_SHAPE[0]):
        images = images.permute(0, 3, 1, 2)
    if images.shape[1:] != IMAGE_SHAPE:
        return
    found = 0
    refused = _refused_fingerprints()
    for pixels in _possible_pixels(images):
        # On the CPU: not every accelerator has 64-bit integers in all operations.
        found += int(torch.isin(fingerprints(pixels.cpu()), refused).sum())
    if found:
        raise _leak(f"{found:,} of {len(images):,} images are CIFAR's test images", purpose)


def _possible_pixels(images: Tensor) -> Iterator[Tensor]:
    """Yield the images as uint8 pixels; floats once for each scale that gives whole numbers."""
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
    """A loader whose batches are searched for official test images.

    Args:
        iterable: The loader.
        purpose: The use that the images are meant for: "training" or "validation".

    Raises:
        LeakedTestImagesError: A batch holds a test image (raised during the iteration).
    """

    def __init__(self, iterable: Loader, purpose: str) -> None:
        self.iterable = iterable
        self.purpose = purpose

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self.iterable:
            refuse_official_test_images(images, self.purpose)
            yield images, labels


def training_batches(loader: Loader, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Return a loader's batches, checked and moved to the device; refuse test images.

    Raises:
        LeakedTestImagesError: The loader is known to hold test images.
        TypeError, ValueError: A batch is not as `batches_on` expects it.
    """
    refuse_test_role(loader, "training")
    if not isinstance(loader, Batches):  # the images of `Batches` have a role
        refuse_test_images(loader, "training", look_through_loaders=False)
    return batches_on(loader, device)


def _leak(what: str, purpose: str) -> LeakedTestImagesError:
    return LeakedTestImagesError(
        f"{what}, and the test set is for the final evaluation, not for {purpose}. Use the "
        "training images, or a validation split of them: cifar_lab.split(data.train, seed=...)."
    )
