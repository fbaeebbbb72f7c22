"""What is found out before a training run begins: whether model and images fit, and how long."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn

from cifar_lab.data import ImageSet, to_unit_interval
from cifar_lab.errors import TrainingDivergedError
from cifar_lab.guard import guarded
from cifar_lab.loading import (
    Loader,
    as_loader,
    batches_on,
    check_class_numbers,
    check_logits,
    device_of,
    run_model,
)
from cifar_lab.models.layout import Layout, convolutions, find_layout
from cifar_lab.models.size import evaluation_mode, logits_in, materialize, untouched
from cifar_lab.models.whitening import Whitening
from cifar_lab.models.wrapping import unwrap
from cifar_lab.recipe import Recipe

WHITENED_IMAGES = 2000  # from which whitening is computed: two million patches


def refuse_what_needs_images(recipe: Recipe) -> None:
    """Raise a ValueError where the recipe asks for what a loader of one's own can't be given."""
    if recipe.augment or recipe.mix:
        raise ValueError(
            "The recipe's augment and mix work on an ImageSet; a loader brings batches of its own. "
            "Give the ImageSet, or augment in the loader and leave them out of the recipe."
        )
    if recipe.reestimate_norms:
        raise ValueError(
            "The recipe's reestimate_norms needs an ImageSet, whose images can be had without "
            "augmentation; a loader's come as it gives them. Give the ImageSet, or leave "
            "reestimate_norms out of the recipe."
        )


def refuse_unreadable(data: ImageSet | Loader | None, device: torch.device) -> None:
    """Look at the first batch of what is only evaluated on: training comes before that.

    Raises:
        TypeError, ValueError: it is no loader, has no batches, or others than images and labels.
    """
    if data is None or isinstance(data, ImageSet):
        return
    check_class_numbers(first_batch(as_loader(data, 1, device), device)[1])


def count_steps(loader: Loader, recipe: Recipe) -> float:
    """Batches in an epoch; infinite, so that an epoch's share is 0, where the loader can't tell."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        changes = recipe.schedule != "constant" or recipe.warmup_epochs > 0
        if changes and recipe.schedule_per == "step":
            raise TypeError(
                f"A {recipe.schedule} schedule per step needs a loader with a len; this "
                f'{type(loader).__name__} has none. Use schedule_per="epoch".'
            ) from None
        return math.inf


def compute_whitening(model: nn.Module, train: ImageSet | Loader) -> None:
    """Compute the model's whitening layers from training images, where that was not done before.

    Args:
        model: on the device where it is to be trained.
        train: the first of its images are taken, or of a loader the first batch.

    Raises:
        LeakedTestImagesError: the batch holds test images.
        ValueError: the model can't take the images.
    """
    layers = [each for each in model.modules() if isinstance(each, Whitening) and not each.computed]
    if not layers:
        return
    device = device_of(model)
    if isinstance(train, ImageSet):
        images = to_unit_interval(train.images[:WHITENED_IMAGES]).to(device)
    else:
        images = next(batches_on(guarded(train, "training"), device))[0]

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Whitening)
        layer.compute_from(inputs[0])
        raise _SeenError  # the layers behind it would only take time and memory

    for layer in layers:
        hook = layer.register_forward_pre_hook(look)
        try:
            with evaluation_mode(model), suppress(_SeenError):
                run_model(model, images)
        finally:
            hook.remove()


class _SeenError(Exception):
    """Ends a forward pass at the layer that it was for."""


def first_batch(loader: Loader, device: torch.device) -> tuple[Tensor, Tensor]:
    """A loader's first batch, without a draw from PyTorch's generator that training would miss."""
    with torch.random.fork_rng():
        return next(batches_on(loader, device))


def check_fit(model: nn.Module, images: Tensor, labels: Tensor, num_classes: int | None) -> None:
    """Look whether a batch fits the model, before any time is spent; lazy layers get their sizes.

    Args:
        model: is otherwise left as it was.
        images: on the model's device.
        labels: of the images.
        num_classes: that the model must have logits for, where that is known.

    Raises:
        ValueError, TypeError: the model can't take the images, or gives other outputs than logits.
    """
    materialize(model, tuple(images.shape[1:]))
    with untouched(model), evaluation_mode(model):
        logits = logits_in(run_model(model, images.clone()))[0]
    # Looked at on the CPU: on CUDA, a label without a class would end the process.
    check_logits(logits, labels.cpu(), num_classes)


def choose_layout(recipe: Recipe, model: nn.Module, images: Tensor) -> Layout:
    """The memory layout to train in: channels-last where the recipe wants it and the model can.

    Where it can't, a line says so; training is then the same but for speed.
    """
    if not recipe.channels_last:
        return Layout.PLAIN
    layout = find_layout(model, images, train=True)
    if layout is Layout.PLAIN and convolutions(model):
        name = type(unwrap(model)).__name__
        print(f"{name} can't compute on channels-last features; it trains on contiguous ones.")
    return layout


def measure_step(
    model: nn.Module,
    batch: tuple[Tensor, Tensor],
    train_on: Callable[[nn.Module, Loader], object],
) -> float:
    """Seconds of one training step; the model and the generators stay as they were.

    Args:
        model: the model to be trained.
        batch: that is measured.
        train_on: trains a model on all the batches of a loader.
    """
    times = []
    with untouched(model):
        for _ in range(4):  # the first warms up
            trial = [(batch[0].clone(), batch[1])]
            start = time.perf_counter()
            with suppress(TrainingDivergedError):  # the training itself will say where
                train_on(model, trial)
            times.append(time.perf_counter() - start)
    return min(times[1:])


def estimate(
    step_seconds: float,
    steps: float,
    recipe: Recipe,
    epochs_done: int,
    device: torch.device,
    precision: str,
) -> str:
    """How long the epochs that are left will take, in a sentence with minutes in it."""
    epochs = recipe.epochs - epochs_done
    what = f"Training {epochs} epochs" if not epochs_done else f"Going on with {epochs} epochs"
    if math.isinf(steps):
        return f"{what} on {device} in {precision}; the loader has no len, so no estimate."
    return (
        f"{what} of {steps} batches on {device} in {precision}: about "
        f"{epochs * steps * step_seconds / 60:.1f} minutes, from one measured batch."
    )
