"""One training loop for every experiment.

for every epoch:                      `fit`
    for every batch:                  `train_epoch`
        forward, loss, backward, step
    measure, record, print a line
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.std import tqdm

from cifar_lab.data import Batches, ImageSet
from cifar_lab.errors import TrainingDivergedError
from cifar_lab.evaluation import test_accuracy
from cifar_lab.loading import (
    Loader,
    as_loader,
    batches_on,
    check_logits,
    device_of,
    refuse_test_images,
    source_of,
)
from cifar_lab.recipe import Recipe, build_optimizer, resolve_precision
from cifar_lab.reproducibility import as_device, check_seed, derive_seed

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, num_classes) and labels (N,) -> the batch's mean loss, a scalar."""

STEPS_BETWEEN_LOSS_CHECKS = (
    50  # reading a loss makes the host wait for the device, so not each step
)
AUTOCAST_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training run.

    Attributes:
        epoch: 1 for the first.
        train_loss: mean of the batches' mean losses, measured while the weights were changing.
        validation_accuracy: percent, after the epoch; None without validation images.
        test_accuracy: percent, after the epoch; None where the test set was not watched.
        seconds: wall time of the epoch's training, without the evaluation.
    """

    epoch: int
    train_loss: float
    validation_accuracy: float | None
    test_accuracy: float | None
    seconds: float

    def __str__(self) -> str:
        parts = [f"epoch {self.epoch:3d}", f"train loss {self.train_loss:.4f}"]
        if self.validation_accuracy is not None:
            parts.append(f"validation accuracy {self.validation_accuracy:.2f} %")
        if self.test_accuracy is not None:
            parts.append(f"test accuracy {self.test_accuracy:.2f} %")
        return "   ".join([*parts, f"{self.seconds:.1f} s"])


def train_epoch(
    model: nn.Module,
    loader: Loader,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    *,
    precision: str = "fp32",
    scaler: torch.amp.GradScaler | None = None,
) -> float:
    """Train on every batch once and return the mean of the batches' mean losses.

    Args:
        model: trained in place, on the device where it is.
        loader: gives (images, labels); images (N, C, H, W), float; labels (N,), int64.
        optimizer: steps once a batch.
        loss_fn: logits and labels -> the batch's mean loss.
        precision: of the forward pass and the loss: "fp32", "bf16" or "fp16".
        scaler: keeps small fp16 gradients from becoming zero; None for a new one where needed.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        ValueError, TypeError: no batches, or batches that don't fit the model.
    """
    device = device_of(model)
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    autocast = torch.autocast(
        device.type, AUTOCAST_TYPES.get(precision), enabled=precision in AUTOCAST_TYPES
    )
    losses: list[Tensor] = []
    model.train()
    for images, labels in batches_on(loader, device):
        with autocast:
            logits = model(images)
            check_logits(logits, labels)
            loss = loss_fn(logits, labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.detach())
        if len(losses) % STEPS_BETWEEN_LOSS_CHECKS == 0:
            _check_finite(losses)
    _check_finite(losses)
    return torch.stack(losses).double().mean().item()


def _check_finite(losses: list[Tensor]) -> None:
    """Look at the latest losses only: the earlier ones were looked at before."""
    start = (len(losses) - 1) // STEPS_BETWEEN_LOSS_CHECKS * STEPS_BETWEEN_LOSS_CHECKS
    for step, loss in enumerate(torch.stack(losses[start:]).tolist(), start + 1):
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss became {loss} at step {step}. The usual cause is a learning rate that "
                "is too high: try a tenth of it. Inputs that are NaN or infinite do it too."
            )


def fit(
    model: nn.Module,
    train: ImageSet | Loader,
    recipe: Recipe,
    *,
    validation: ImageSet | Loader | None = None,
    test: ImageSet | Loader | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    progress: bool = True,
) -> list[EpochRecord]:
    """Train a model by a recipe and return one record an epoch.

    The run is a function of the model's weights, the recipe and the seed. PyTorch's global
    generator, from which dropout draws, is seeded anew at the start of each epoch.

    Args:
        model: trained in place, moved to the device; takes images (N, 3, H, W) in [0, 1].
        train: images to train on, or a loader of (images, labels), which brings its own batches.
        recipe: epochs, optimizer and all the rest.
        validation: its accuracy is measured after each epoch.
        test: the same for the test set, only to be watched: it decides nothing.
        seed: of the order of the images and of dropout.
        device: None for the best there is.
        on_epoch: called after each epoch, for example to save the weights.
        progress: print an estimate of the time, a bar, and a line an epoch.

    Raises:
        ValueError, TypeError: test images where training images belong, an empty loader, batches
            of another kind or classes that don't match the model's outputs.
        TrainingDivergedError: the loss became NaN or infinite, in which epoch and step.
    """
    refuse_test_images(train, "training")
    if validation is not None:
        refuse_test_images(validation, "validation")
    check_seed(seed)
    device = as_device(device)
    precision = resolve_precision(recipe.precision, device)
    model.to(device).to(memory_format=torch.channels_last)
    loader = as_loader(train, recipe.batch_size, device, shuffle=True, seed=seed)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    optimizer = build_optimizer(recipe, model)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    step_seconds = _measure_step(model, loader, recipe, loss_fn, precision)
    if progress:
        print(_estimate(step_seconds, loader, recipe, device, precision))
    history = []
    for epoch in range(recipe.epochs):
        torch.manual_seed(derive_seed(seed, epoch, "dropout"))
        if isinstance(loader, Batches):
            loader.epoch = epoch
        bar = tqdm(loader, f"epoch {epoch + 1}/{recipe.epochs}", leave=False, disable=not progress)
        start = time.perf_counter()
        try:
            train_loss = train_epoch(
                model, bar, optimizer, loss_fn, precision=precision, scaler=scaler
            )
        except TrainingDivergedError as error:
            raise TrainingDivergedError(f"In epoch {epoch + 1} {error}") from None
        seconds = time.perf_counter() - start
        record = EpochRecord(
            epoch=epoch + 1,
            train_loss=train_loss,
            validation_accuracy=None if validation is None else test_accuracy(model, validation),
            test_accuracy=None if test is None else test_accuracy(model, test),
            seconds=seconds,
        )
        history.append(record)
        if progress:
            print(record)
        if on_epoch is not None:
            on_epoch(record)
    return history


def _measure_step(
    model: nn.Module, loader: Loader, recipe: Recipe, loss_fn: LossFunction, precision: str
) -> float:
    """Seconds of one training step, on a copy of the model: weights and draws stay as they were.

    It is also where a batch that doesn't fit the model is found, before any time is spent.
    """
    device = device_of(model)
    with torch.random.fork_rng():
        batch = next(batches_on(loader, device))
        trial = copy.deepcopy(model)
        source = source_of(loader)
        with torch.no_grad():
            check_logits(trial(batch[0]), batch[1], source.num_classes if source else None)
        optimizer = build_optimizer(recipe, trial)
        for _ in range(2):  # the first step warms up
            start = time.perf_counter()
            with suppress(TrainingDivergedError):  # the training itself will say where
                train_epoch(trial, [batch], optimizer, loss_fn, precision=precision)
        return time.perf_counter() - start


def _estimate(
    step_seconds: float, loader: Loader, recipe: Recipe, device: torch.device, precision: str
) -> str:
    try:
        steps = len(loader)  # type: ignore[arg-type]
    except TypeError:
        return f"Training {recipe.epochs} epochs on {device} in {precision}; the loader has no len."
    minutes = recipe.epochs * steps * step_seconds / 60
    return (
        f"Training {recipe.epochs} epochs of {steps} batches on {device} in {precision}: "
        f"about {minutes:.1f} minutes, from one measured batch."
    )
