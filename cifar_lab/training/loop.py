"""One training loop for every experiment.

for every epoch:                      `fit`
    for every batch:                  `train_epoch`
        forward, loss, backward, step
    measure, record, print a line
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.std import tqdm

from cifar_lab.data.augment import Compose
from cifar_lab.data.batches import Batches, Loader, as_loader, batches_on, num_classes_of
from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.leakage import Guarded, refuse_test_images, refuse_test_role
from cifar_lab.evaluation import test_accuracy
from cifar_lab.models.forward import check_logits, device_of, logits_in, run_model
from cifar_lab.models.inspection import materialize
from cifar_lab.training.allocator import keep_freed_memory
from cifar_lab.training.batch_norm import reestimate_norms
from cifar_lab.training.checkpoint import begin_or_resume, save_checkpoint
from cifar_lab.training.optimizers import clear_tiny_averages
from cifar_lab.training.prepare import (
    TimeEstimate,
    choose_layout,
    compute_whitening,
    count_steps,
    describe_run,
    first_batch,
    refuse_single_images,
    refuse_unreadable,
    refuse_what_needs_images,
)
from cifar_lab.training.recipe import Recipe, resolve_precision
from cifar_lab.training.schedule import learning_rate_at
from cifar_lab.training.state import EpochRecord, TrainingState
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.errors import TrainingDivergedError
from cifar_lab.utils.seeding import check_seed, derive_seed, seed_generators

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, num_classes) and labels, (N,) or soft -> the batch's mean loss, a scalar."""

AUXILIARY_WEIGHT = 0.3  # of each further loss, as in GoogLeNet (Szegedy et al. 2014)
STEPS_BETWEEN_CHECKS = 50  # reading a loss makes the host wait for the device, so not each step
AUTOCAST_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def train_epoch(
    model: nn.Module,
    loader: Loader,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    *,
    precision: str = "fp32",
    scaler: torch.amp.GradScaler | None = None,
    gradient_clip: float | None = None,
    after_step: Callable[[int], None] | None = None,
) -> float:
    """Train on every batch once and return the mean of the batches' mean losses.

    Args:
        model: trained in place, on the device where it is. It gives logits, or in training a tuple
            of them: the first are the model's, the loss of each further one counts 0.3.
        loader: gives (images, labels); images (N, C, H, W), float32; labels (N,), int64, or soft
            labels (N, num_classes), float32.
        optimizer: steps once a batch.
        loss_fn: logits and labels -> the batch's mean loss.
        precision: of the forward pass and the loss: "fp32", "bf16" or "fp16".
        scaler: keeps small fp16 gradients from becoming zero; None for a new one where needed.
        gradient_clip: scale the gradients down where their norm is larger; None never does.
        after_step: called with the number of steps done in this epoch.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        LeakedTestImagesError: the loader is known to hold test images.
        ValueError, TypeError: no batches, or batches that don't fit the model.
    """
    refuse_test_role(loader, "training")
    if not isinstance(loader, Batches):  # whose images have a role
        refuse_test_images(loader, "training", look_through_loaders=False)
    device, num_classes = device_of(model), num_classes_of(loader)
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    autocast: AbstractContextManager[Any] = nullcontext()
    if precision != "fp32":
        autocast = torch.autocast(device.type, AUTOCAST_TYPES[precision])
    losses: list[float] = []
    unread: list[Tensor] = []
    model.train()
    for images, labels in batches_on(loader, device):
        with autocast:
            logits, *auxiliary = logits_in(run_model(model, images))
            # On CUDA a label without a class would end the process: the first are looked at.
            is_first = not (losses or unread)
            check_logits(logits, labels.cpu() if is_first else labels, num_classes)
            loss = loss_fn(logits, labels)
            for further in auxiliary:
                loss = loss + AUXILIARY_WEIGHT * loss_fn(further, labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if gradient_clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), gradient_clip)
        scaler.step(optimizer)
        scaler.update()
        unread.append(loss.detach())
        if after_step is not None:
            after_step(len(losses) + len(unread))
        if len(unread) == STEPS_BETWEEN_CHECKS:
            _read_losses(unread, losses)
            clear_tiny_averages(optimizer)
    _read_losses(unread, losses)
    return fmean(losses)


def _read_losses(unread: list[Tensor], losses: list[float]) -> None:
    """Move the latest losses from the device to the list of the epoch's; they must be finite."""
    for loss in torch.stack(unread).tolist() if unread else []:
        losses.append(loss)
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss became {loss} at step {len(losses)}. The usual cause is a learning rate "
                "that is too high: try a tenth of it. Inputs that are NaN or infinite do it too."
            )
    unread.clear()


def fit(
    model: nn.Module,
    train: ImageSet | Loader,
    recipe: Recipe,
    *,
    validation: ImageSet | Loader | None = None,
    test: ImageSet | Loader | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    progress: bool = True,
) -> list[EpochRecord]:
    """Train a model by a recipe and return one record an epoch.

    On one machine and number of threads the run is a function of the model's weights, the images,
    the recipe and the seed. The global generators of PyTorch (from which dropout draws), numpy and
    Python are seeded at the start of each epoch.

    Args:
        model: trained in place, moved to the device; takes images (N, 3, H, W) in [0, 1].
        train: images to train on, or a loader of (images, labels), which brings its own batches.
        recipe: epochs, optimizer and all the rest.
        validation: its accuracy is measured after each epoch; it decides what `keep_best` and
            `patience` ask for.
        test: the same for the test set, only to be watched: it decides nothing.
        seed: of the order of the images and of dropout.
        device: None for the best there is.
        checkpoint: a file that holds, after each epoch, all that going on from there needs.
        resume: go on from the checkpoint; where there is none yet, start. On the CPU the resumed
            run ends with the same weights, to the bit, as one that was never interrupted, if
            `train` is an ImageSet or a loader that draws from these generators alone.
        on_epoch: called after each epoch, for example to save the weights.
        progress: print an estimate of the time, a bar, and a line an epoch.

    Raises:
        ValueError, TypeError: test images where training images belong, an empty loader, batches
            of another kind or classes that don't match the model's outputs; a checkpoint that is
            damaged or of another run.
        FileExistsError: a checkpoint is there, and neither resumed nor to be lost.
        TrainingDivergedError: the loss became NaN or infinite, in which epoch and step.
    """
    # A loader's images are looked at as they come, in the first epoch from here.
    refuse_test_images(train, "training", look_through_loaders=False)
    if not isinstance(train, ImageSet):
        refuse_what_needs_images(recipe)
    device = as_device(device)
    for watched in (validation, test):
        refuse_unreadable(watched, device)
    if validation is not None:
        refuse_test_images(validation, "validation")
    elif recipe.keep_best or recipe.patience is not None:
        raise ValueError("keep_best and patience go by validation accuracy; give validation=...")
    seed = check_seed(seed)
    precision = resolve_precision(recipe.precision, device)
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
    layout = choose_layout(recipe, model, images)
    steps = count_steps(loader, recipe)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    state = TrainingState(model, recipe, precision)
    if checkpoint is not None:
        run = {"seed": seed, "precision": precision, **describe_run(model, train, validation)}
        begin_or_resume(checkpoint, state, run, resume=resume)
    first_epoch = len(state.history)
    estimate = TimeEstimate(steps, recipe, first_epoch, device, precision)
    if progress and not state.finished:
        estimate.begin()

    def after_step(step: int) -> None:
        state.update_average()
        state.set_learning_rate(learning_rate_at(recipe, len(state.history) + step / steps))
        if progress:
            estimate.after_step()

    while not state.finished:
        epoch = len(state.history)
        seed_generators(derive_seed(seed, epoch, "dropout"))
        state.set_learning_rate(learning_rate_at(recipe, epoch))
        batches: Loader = loader
        if isinstance(loader, Batches):
            loader.epoch = epoch
        elif epoch == first_epoch:
            batches = Guarded(loader, "training")
        bar = tqdm(
            batches,
            desc=f"epoch {epoch + 1}/{recipe.epochs}",
            total=None if math.isinf(steps) else int(steps),
            leave=False,
            disable=not progress,
        )
        start = time.perf_counter()
        try:
            with layout.within(model):
                train_loss = train_epoch(
                    model,
                    bar,
                    state.optimizer,
                    loss_fn,
                    precision=precision,
                    scaler=state.scaler,
                    gradient_clip=recipe.gradient_clip,
                    after_step=after_step,
                )
        except TrainingDivergedError as error:
            raise TrainingDivergedError(f"In epoch {epoch + 1} {error}") from None
        seconds = time.perf_counter() - start
        with layout.within(model), state.evaluated() as evaluated:
            record = EpochRecord(
                epoch=epoch + 1,
                train_loss=train_loss,
                validation_accuracy=_accuracy(evaluated, validation),
                test_accuracy=_accuracy(evaluated, test),
                seconds=seconds,
            )
        state.add(record)
        if progress:
            print(record)
        if checkpoint is not None:
            save_checkpoint(checkpoint, state, run)
        if on_epoch is not None:
            on_epoch(record)
    state.leave_final_weights()
    if recipe.reestimate_norms:
        assert isinstance(train, ImageSet)
        with layout.within(model):
            reestimate_norms(model, train, seed=seed)
    return state.history


def _accuracy(model: nn.Module, data: ImageSet | Loader | None) -> float | None:
    return None if data is None else test_accuracy(model, data)
