"""What is found out before a training run begins, or by its first steps: what fits, how long."""

from __future__ import annotations

import itertools
import math
import time
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader
from tqdm.std import tqdm

from cifar_lab.data.batches import Batches, Loader, as_loader, batches_on, check_class_numbers
from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.data.leakage import Guarded, identity, labels_identity
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.forward import device_of, run_model
from cifar_lab.models.inspection import evaluation_mode, untouched
from cifar_lab.models.layers.whitening import Whitening
from cifar_lab.models.layout import Layout, convolutions, find_layout, is_watched
from cifar_lab.models.wrapping import unwrap
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.console import say
from cifar_lab.utils.seeding import chance_kept

WHITENED_IMAGES = 2000  # from which whitening is computed: two million patches
TIMED_STEPS = 4


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
        images = next(batches_on(Guarded(train, "training"), device))[0]

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Whitening)
        layer.compute_from(inputs[0])
        raise _SeenError  # the layers behind it would only take time and memory

    for layer in layers:
        hook = layer.register_forward_pre_hook(look)
        try:
            with evaluation_mode(model), torch.no_grad(), suppress(_SeenError):
                run_model(model, images)
        finally:
            hook.remove()


class _SeenError(Exception):
    """Ends a forward pass at the layer that it was for."""


def first_batch(loader: Loader, device: torch.device) -> tuple[Tensor, Tensor]:
    """A loader's first batch, without a draw from the generators that training would miss."""
    with chance_kept():
        return next(batches_on(loader, device))


def refuse_single_images(model: nn.Module, loader: Loader, images: Tensor) -> None:
    """Raise where a batch will have one image, of which the model's batch norm has no variance.

    Args:
        model: is left as it was.
        loader: what it tells of its batches is believed; others show only in training.
        images: of its first batch, on the model's device.

    Raises:
        ValueError: with what to do.
    """
    if not any(isinstance(each, _BatchNorm) for each in model.modules()):
        return
    if _smallest_batch(loader) != 1:
        return
    with untouched(model), torch.no_grad():
        model.train()
        run_model(model, images[:1].clone())


def _smallest_batch(loader: Loader) -> int | None:
    """Images in the smallest batch; None where that can't be told without reading all of them."""
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
    except TypeError:  # of an IterableDataset
        return None
    rest = count % loader.batch_size
    return loader.batch_size if loader.drop_last or not rest else rest


def describe_run(
    model: nn.Module, train: ImageSet | Loader, validation: ImageSet | Loader | None
) -> dict[str, str]:
    """What a run is of, in short texts: a checkpoint of another model or other images differs."""
    return {
        "images": identity(train),
        "labels": labels_identity(train),
        "validation": "" if validation is None else identity(validation),
        "model": architecture_digest(model),
    }


def choose_layout(recipe: Recipe, model: nn.Module, images: Tensor) -> Layout:
    """The memory layout to train in: channels-last where the recipe wants it and the model can.

    Where it can't, a line says so; training is then the same but for speed.
    """
    if not recipe.channels_last:
        return Layout.PLAIN
    layout = find_layout(model, images, train=True)
    if layout is Layout.PLAIN and convolutions(model):
        name = type(unwrap(model)).__name__
        why = "has hooks, which could tell" if is_watched(model) else "can't compute on"
        say(f"{name} {why} channels-last features; it trains on contiguous ones.")
    return layout


class TimeEstimate:
    """Tells after a run's first steps how long it will take.

    Args:
        steps: batches in an epoch.
        recipe: of the run.
        epochs_done: before this run was resumed.
        device: that it trains on.
        precision: that it trains in.
    """

    def __init__(
        self,
        steps: float,
        recipe: Recipe,
        epochs_done: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self._steps = steps
        self._epochs = recipe.epochs - epochs_done
        self._device = device
        what = "Going on with" if epochs_done else "Training"
        batches = "" if math.isinf(steps) else f" of {steps} batches"
        self._run = f"{what} {self._epochs} epochs{batches} on {device} in {precision}"
        self._times: list[float] = []

    def begin(self) -> None:
        """Start the clock."""
        self._times = [time.perf_counter()]
        if math.isinf(self._steps):
            print(f"{self._run}; the loader has no len, so no estimate.")

    def after_step(self) -> None:
        """Take the time of a step; print a sentence with minutes in it when enough are measured."""
        if not self._left():
            return
        getattr(torch, self._device.type).synchronize()
        self._times.append(time.perf_counter())
        if self._left():
            return
        durations = [end - start for start, end in itertools.pairwise(self._times)]
        step_seconds = min(durations[1:] or durations)  # the first warms up
        minutes = self._epochs * self._steps * step_seconds / 60
        # Through tqdm: there is a progress bar by now.
        tqdm.write(f"{self._run}: about {minutes:.1f} minutes, from one measured batch.")

    def _left(self) -> int:
        """Steps that are still to be measured."""
        if math.isinf(self._steps):
            return 0
        return max(0, 1 + min(TIMED_STEPS, int(self._steps)) - len(self._times))
