"""Every check and conversion before the first epoch, which result in a `Setup`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cifar_lab.data.augment import Compose
from cifar_lab.data.batches import Loader, as_loader
from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.leakage import identity, labels_identity, refuse_test_images
from cifar_lab.data.shares import share_of_data
from cifar_lab.evaluation import EVALUATION_BATCH_SIZE
from cifar_lab.models.counting import architecture_digest
from cifar_lab.models.inspection import materialize, require_network
from cifar_lab.training.acceleration import find_acceleration
from cifar_lab.training.allocator import keep_freed_memory
from cifar_lab.training.announcer import Announcer
from cifar_lab.training.checkpoint import Checkpoint, saved_precision
from cifar_lab.training.custom import (
    OptimizerSource,
    SchedulerSource,
    describe_custom,
    loss_function,
    refuse_other_length,
    refuse_plateau_without_validation,
)
from cifar_lab.training.data_checks import (
    count_steps,
    first_batch,
    refuse_datasets,
    refuse_single_images,
    refuse_unreadable,
    refuse_what_needs_images,
)
from cifar_lab.training.losses import LossFunction
from cifar_lab.training.notices import point_out
from cifar_lab.training.precision import resolve_precision, warn_if_slow
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.setup import Setup
from cifar_lab.training.sharing import (
    begin_together,
    describe_sharing,
    refuse_differing_runs,
    refuse_unshareable,
)
from cifar_lab.training.state import TrainingState
from cifar_lab.training.whitening import compute_whitening
from cifar_lab.utils.console import say
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.ranks import Ranks, join_ranks
from cifar_lab.utils.seeding import check_seed


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
    loss_fn: LossFunction | None,
    optimizer: OptimizerSource | None,
    scheduler: SchedulerSource | None,
    progress: bool,
) -> Setup:
    """Check the arguments of `fit`, and build all that its epochs need.

    The arguments and errors are those of `fit`.
    """
    require_network(model)
    device = as_device(device)
    seed = check_seed(seed)
    ranks = _join(recipe, seed=seed, resume=resume, train=train, validation=validation, test=test)
    keeps = resume and recipe.precision == "auto"
    began = ranks.from_first(lambda: saved_precision(checkpoint)) if keeps else None
    precision = _precision(recipe, device, began)
    _refuse(train, validation, test, recipe, device)
    loss = loss_function(loss_fn, recipe, device)
    keep_freed_memory()
    model.to(device)
    loader = training_loader(train, recipe, seed, device)
    images = first_batch(loader, device)[0]
    refuse_unshareable(ranks, model, len(images))
    materialize(model, tuple(images.shape[1:]))
    refuse_single_images(model, loader, images)
    compute_whitening(model, train if isinstance(train, ImageSet) else loader)
    acceleration = find_acceleration(recipe, model, images)
    if recipe.precision == "auto":
        with acceleration.within(model):
            warn_if_slow(model, images, precision)
    steps = count_steps(loader, recipe)
    state = TrainingState(model, recipe, precision, optimizer, scheduler)
    refuse_plateau_without_validation(state.scheduler, validation)
    refuse_other_length(state.scheduler, recipe.epochs)
    saved = Checkpoint(None)
    if checkpoint is not None and ranks.is_first:
        custom = None if optimizer is None else state.optimizer
        run = {"seed": seed, "precision": began or precision}
        run |= describe_run(model, train, validation)
        saved = Checkpoint(checkpoint, run | describe_custom(loss_fn, custom, state.scheduler))
    begin_together(ranks, saved, state, resume=resume)
    if not state.finished:
        evaluated = [each for each in (validation, test) if each is not None]
        if not evaluated and isinstance(train, ImageSet):
            evaluated = [train]  # its like will be evaluated on
        point_out(model, images, loss, evaluated)
    announcer = Announcer(state, steps, device, precision, enabled=progress and ranks.is_first)
    announcer.begin(checkpoint, describe_sharing(ranks, model))
    return Setup(
        recipe=recipe,
        seed=seed,
        precision=precision,
        train=loader,
        steps=steps,
        loss_fn=loss,
        validation=_watched(validation, device, ranks, seed),
        test=_watched(test, device, ranks, seed),
        state=state,
        first_epoch=len(state.history),
        acceleration=acceleration,
        checkpoint=saved,
        announcer=announcer,
        ranks=ranks,
    )


def training_loader(
    train: ImageSet | Loader, recipe: Recipe, seed: int, device: torch.device
) -> Loader:
    """Return the batches that a recipe trains on; a custom loader as it is."""
    return as_loader(
        train,
        recipe.batch_size,
        device,
        shuffle=True,
        seed=seed,
        transform=Compose(recipe.augment) if recipe.augment else None,
        mix=recipe.mix,
        mixed_epochs=recipe.epochs - recipe.unmixed_epochs,
    )


def _precision(recipe: Recipe, device: torch.device, began: str | None) -> str:
    """Return the precision of the run: a resumed one keeps that in which it began, if it can."""
    precision = resolve_precision(recipe.precision, device)
    if began in (None, precision):
        return precision
    try:
        resolve_precision(str(began), device)
    except ValueError:  # begun on a GPU, say, and resumed without one
        say(f"Resuming in {precision}: this {device.type} can't train in {began}, as it began.")
        return precision
    say(
        f"Resuming in {began}, the precision in which the run began; from scratch it would train "
        f"in {precision} on this {device.type}."
    )
    return str(began)


def _refuse(
    train: ImageSet | Loader,
    validation: ImageSet | Loader | None,
    test: ImageSet | Loader | None,
    recipe: Recipe,
    device: torch.device,
) -> None:
    """Raise where the data can't be trained or evaluated on as the recipe requires."""
    refuse_datasets(train=train, validation=validation, test=test)
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


def _watched(
    data: ImageSet | Loader | None, device: torch.device, ranks: Ranks, seed: int
) -> Loader | None:
    """Return batches to evaluate on, built once for all epochs: this process's share."""
    if data is None:
        return None
    return as_loader(share_of_data(data, ranks, seed=seed), EVALUATION_BATCH_SIZE, device)


def _join(recipe: Recipe, *, seed: int, resume: bool, **data: ImageSet | Loader | None) -> Ranks:
    """Return the processes that share the run, after a check that they were asked for the same."""
    ranks = join_ranks()
    if ranks.size > 1:
        kinds = {
            name: identity(each) if isinstance(each, ImageSet) else type(each).__name__
            for name, each in data.items()
        }
        refuse_differing_runs(ranks, recipe.to_dict() | {"seed": seed, "resume": resume} | kinds)
    return ranks


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
