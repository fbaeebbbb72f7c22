"""Checks of the data that `fit` is given, before the first epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from cifar_lab.data.batches import Batches, Loader, as_loader, batches_on, check_class_numbers
from cifar_lab.data.image_set import Data, ImageSet
from cifar_lab.data.leakage import training_batches
from cifar_lab.models.forward import run_model
from cifar_lab.models.inspection import untouched
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.seeding import random_state_kept


def refuse_datasets(**arguments: object) -> None:
    """Raise a TypeError where a whole dataset is given in the place of some of its images."""
    for name, data in arguments.items():
        if isinstance(data, Data):
            raise TypeError(
                f"{name} is {data!r}; expected some of its images, such as data.train, or "
                "train, validation = cifar_lab.split(data.train, seed=0)."
            )


def refuse_what_needs_images(recipe: Recipe) -> None:
    """Raise a ValueError where the recipe has settings that need an ImageSet, not a loader."""
    if recipe.augment or recipe.mix:
        raise ValueError(
            "The recipe's augment and mix need an ImageSet; a loader has its own batches. "
            "Give the ImageSet, or augment in the loader and leave them out of the recipe."
        )
    if recipe.reestimate_norms:
        raise ValueError(
            "The recipe's reestimate_norms needs an ImageSet, whose images are available without "
            "augmentation; a loader's may be augmented. Give the ImageSet, or leave "
            "reestimate_norms out of the recipe."
        )


def refuse_unreadable(data: ImageSet | Loader | None, device: torch.device) -> None:
    """Check the first batch of validation or test data before training, not after an epoch.

    Raises:
        TypeError, ValueError: The data is no loader, has no batches, or its first batch is not
            images and class numbers.
    """
    if data is None or isinstance(data, ImageSet):
        return
    check_class_numbers(first_batch(as_loader(data, 1, device), device)[1])


def batches_to_train(loader: Loader, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Return a loader's batches, checked and moved to the device; refuse test images.

    Raises:
        LeakedTestImagesError: The loader is known to hold test images.
        TypeError, ValueError: A batch is not as `batches_on` expects it, or these are images.
    """
    if isinstance(loader, ImageSet | Data):
        images = "data.train" if isinstance(loader, Data) else "images"
        raise TypeError(
            f"This is {loader!r}; expected batches. Wrap the images: "
            f"cifar_lab.Batches({images}, 64, shuffle=True)."
        )
    return training_batches(loader, device)


def first_batch(loader: Loader, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a loader's first batch, and restore the random generators that it was drawn from."""
    with random_state_kept():
        return next(batches_on(loader, device))


def refuse_single_images(model: nn.Module, loader: Loader, images: Tensor) -> None:
    """Raise where a batch will have a single image, on which the model's batch norm can't train.

    Args:
        model: The model, which is left as it was.
        loader: The training batches. Where a loader does not tell their sizes, the error comes in
            training.
        images: The images of the first batch, on the model's device.

    Raises:
        ValueError: A batch has a single image; the message says what to do.
    """
    if not any(isinstance(each, _BatchNorm) for each in model.modules()):
        return
    if _smallest_batch(loader) != 1:
        return
    with untouched(model), torch.no_grad():
        model.train()
        run_model(model, images[:1].clone())


def _smallest_batch(loader: Loader) -> int | None:
    """Return the number of images in the smallest batch; None where the loader does not tell."""
    if isinstance(loader, Batches):
        return min(loader.sizes())
    if isinstance(loader, list | tuple):
        return min(
            (len(batch[0]) for batch in loader if isinstance(batch, list | tuple)), default=None
        )
    if not isinstance(loader, DataLoader) or loader.batch_size is None:
        return None
    try:
        count = len(loader.sampler)  # type: ignore[arg-type]
    except TypeError:  # an IterableDataset without a len
        return None
    rest = count % loader.batch_size
    return loader.batch_size if loader.drop_last or not rest else rest


def count_steps(loader: Loader, recipe: Recipe) -> float:
    """Return the number of batches in an epoch; infinite where the loader has no len."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        changes = recipe.schedule != "constant" or recipe.warmup_epochs > 0
        if changes and recipe.schedule_per == "step":
            raise TypeError(
                f"A {recipe.schedule} schedule per step needs a loader with a len; this "
                f'{type(loader).__name__} has none. Set schedule_per="epoch" in the recipe.'
            ) from None
        return math.inf
