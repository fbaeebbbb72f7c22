"""Every check and conversion before the first epoch, which result in a `Setup`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.std import tqdm

from cifar_lab.data.augment import Compose
from cifar_lab.data.batches import (
    Batches,
    Loader,
    as_loader,
    batches_on,
)
from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.data.leakage import Guarded, identity, labels_identity, refuse_test_images
from cifar_lab.evaluation import EVALUATION_BATCH_SIZE, test_accuracy
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.forward import device_of, run_model
from cifar_lab.models.inspection import evaluation_mode, materialize
from cifar_lab.models.layers.whitening import Whitening
from cifar_lab.training.acceleration import Acceleration, find_acceleration
from cifar_lab.training.allocator import keep_freed_memory
from cifar_lab.training.checkpoint import Checkpoint, saved_precision
from cifar_lab.training.data_checks import (
    count_steps,
    first_batch,
    refuse_single_images,
    refuse_unreadable,
    refuse_what_needs_images,
)
from cifar_lab.training.estimate import TimeEstimate
from cifar_lab.training.precision import resolve_precision, warn_if_slow
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.console import say
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.errors import TrainingDivergedError
from cifar_lab.utils.seeding import check_seed, derive_seed, seed_generators

WHITENED_IMAGES = 2000  # whitening is computed from these: two million patches


@dataclass(frozen=True)
class Setup:
    """A training run that is ready to begin, or to be resumed.

    Attributes:
        recipe: Says how to train.
        seed: Seeds the random numbers of each epoch.
        precision: The precision of the forward pass: "fp32", "bf16" or "fp16".
        train: The training batches.
        steps: The number of batches in an epoch; infinite where the loader has no len.
        loss_fn: Maps logits and labels to the batch's mean loss.
        validation: The validation batches; None for no validation.
        test: The test batches; None where the test accuracy is not measured.
        state: Everything that training changes.
        first_epoch: The number of epochs that were done before this call.
        acceleration: The way in which the model computes during training.
        checkpoint: Saves the state.
        estimate: Prints how long the run will take; None where nothing is printed.
    """

    recipe: Recipe
    seed: int
    precision: str
    train: Loader
    steps: float
    loss_fn: nn.Module
    validation: Loader | None
    test: Loader | None
    state: TrainingState
    first_epoch: int
    acceleration: Acceleration
    checkpoint: Checkpoint
    estimate: TimeEstimate | None

    def batches(self, epoch: int) -> Loader:
        """Seed the generators for an epoch, 0 for the first, and return its training batches."""
        seed_generators(derive_seed(self.seed, epoch, "dropout"))
        batches = self.train
        if isinstance(batches, Batches):
            batches.epoch = epoch
        elif epoch == self.first_epoch:
            batches = Guarded(batches, "training")
        return tqdm(
            batches,
            desc=f"epoch {epoch + 1}/{self.recipe.epochs}",
            total=None if math.isinf(self.steps) else int(self.steps),
            leave=False,
            disable=self.estimate is None,
        )

    def after_step(self, step: int) -> None:
        """Update the moving average, and set the next step's learning rate."""
        position = len(self.state.history) + step / self.steps
        self.state.update_average()
        self.state.set_learning_rate(learning_rate_at(self.recipe, position))
        if self.estimate is not None:
            self.estimate.after_step()

    @contextmanager
    def training(self, epoch: int) -> Iterator[None]:
        """Accelerate the model, and add the epoch to the error of a loss that diverges."""
        self.state.set_learning_rate(learning_rate_at(self.recipe, epoch))
        try:
            with self.acceleration.within(self.state.model):
                yield
        except TrainingDivergedError as error:
            raise TrainingDivergedError(f"In epoch {epoch + 1} {error}") from None

    def accuracies(self) -> tuple[float | None, float | None]:
        """Return the accuracies in percent on validation and test images; None without images."""
        with self.acceleration.within(self.state.model), self.state.evaluated() as model:
            validation, test = (
                None if batches is None else test_accuracy(model, batches)
                for batches in (self.validation, self.test)
            )
        return validation, test


def prepare(
    model: nn.Module,
    train: ImageSet | Loader,
    recipe: Recipe,
    *,
    validation: ImageSet | Loader | None,
    test: ImageSet | Loader | None,
    seed: int,
    device: torch.device | str | None,
    checkpoint: str | Path | None,
    resume: bool,
    progress: bool,
) -> Setup:
    """Check the arguments of `fit`, and build all that its epochs need.

    The arguments and errors are those of `fit`.
    """
    device = as_device(device)
    seed = check_seed(seed)
    precision = _precision(recipe, device, checkpoint if resume else None)
    _refuse(train, validation, test, recipe, device)
    keep_freed_memory()
    model.to(device)
    loader = as_loader(
        train,
        recipe.batch_size,
        device,
        shuffle=True,
        seed=seed,
        transform=Compose(recipe.augment) if recipe.augment else None,
        mix=recipe.mix,
        mixed_epochs=recipe.epochs - recipe.unmixed_epochs,
    )
    images = first_batch(loader, device)[0]
    materialize(model, tuple(images.shape[1:]))
    refuse_single_images(model, loader, images)
    compute_whitening(model, train if isinstance(train, ImageSet) else loader)
    acceleration = find_acceleration(recipe, model, images)
    if recipe.precision == "auto":
        with acceleration.within(model):
            warn_if_slow(model, images, precision)
    steps = count_steps(loader, recipe)
    state = TrainingState(model, recipe, precision)
    saved = Checkpoint(checkpoint)
    if checkpoint is not None:
        run = {"seed": seed, "precision": precision, **describe_run(model, train, validation)}
        saved = Checkpoint(checkpoint, run)
        saved.begin(state, resume=resume)
    first_epoch = len(state.history)
    estimate = TimeEstimate(steps, recipe, first_epoch, device, precision) if progress else None
    if estimate is not None and not state.finished:
        estimate.begin()
    return Setup(
        recipe=recipe,
        seed=seed,
        precision=precision,
        train=loader,
        steps=steps,
        loss_fn=nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        validation=_watched(validation, device),
        test=_watched(test, device),
        state=state,
        first_epoch=first_epoch,
        acceleration=acceleration,
        checkpoint=saved,
        estimate=estimate,
    )


def _precision(recipe: Recipe, device: torch.device, checkpoint: str | Path | None) -> str:
    """Return the precision of the run: a resumed one keeps that in which it began."""
    precision = resolve_precision(recipe.precision, device)
    began = saved_precision(checkpoint)
    if recipe.precision != "auto" or began in (None, precision):
        return precision
    say(
        f"Resuming in {began}, the precision in which the run began; from scratch it would train "
        f"in {precision} on this {device.type}."
    )
    return resolve_precision(str(began), device)


def _refuse(
    train: ImageSet | Loader,
    validation: ImageSet | Loader | None,
    test: ImageSet | Loader | None,
    recipe: Recipe,
    device: torch.device,
) -> None:
    """Raise where the data can't be trained or evaluated on as the recipe requires."""
    # The images of a loader are checked later, batch by batch in the first epoch.
    refuse_test_images(train, "training", look_through_loaders=False)
    if not isinstance(train, ImageSet):
        refuse_what_needs_images(recipe)
    for watched in (validation, test):
        refuse_unreadable(watched, device)
    if validation is not None:
        refuse_test_images(validation, "validation")
    elif recipe.keep_best or recipe.patience is not None:
        raise ValueError(
            "keep_best and patience need the validation accuracy, but validation is None. Give "
            "validation=..., or leave them out of the recipe."
        )


def _watched(data: ImageSet | Loader | None, device: torch.device) -> Loader | None:
    """Return batches to evaluate on, built once for all epochs."""
    return None if data is None else as_loader(data, EVALUATION_BATCH_SIZE, device)


def compute_whitening(model: nn.Module, train: ImageSet | Loader) -> None:
    """Compute the model's whitening layers from training images, if they are not computed yet.

    Args:
        model: The model, on the device where it is trained.
        train: The training images; the first 2000 are used, or the first batch of a loader.

    Raises:
        LeakedTestImagesError: The batch holds test images.
        ValueError: The model can't take the images.
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
        raise _SeenError  # the layers after it would only take time and memory

    for layer in layers:
        hook = layer.register_forward_pre_hook(look)
        try:
            with evaluation_mode(model), torch.no_grad(), suppress(_SeenError):
                run_model(model, images)
        finally:
            hook.remove()


class _SeenError(Exception):
    """A signal that ends a forward pass at a whitening layer."""


def describe_run(
    model: nn.Module, train: ImageSet | Loader, validation: ImageSet | Loader | None
) -> dict[str, str]:
    """Return short texts that depend on the run's model, images and labels, for its checkpoint."""
    return {
        "images": identity(train),
        "labels": labels_identity(train),
        "validation": "" if validation is None else identity(validation),
        "model": architecture_digest(model),
    }
