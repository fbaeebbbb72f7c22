"""The training loop of every experiment.

for every epoch:                      `fit`
    for every batch:                  `train_epoch`
        forward, loss, backward, step
    measure, record, save, print a line
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import Loader, num_classes_of
from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.leakage import training_batches
from cifar_lab.models.forward import LogitsCheck, device_of, logits_in, run_model
from cifar_lab.training.batch_norm import reestimate_norms
from cifar_lab.training.losses import Losses
from cifar_lab.training.optimizers import keep_averages_normal
from cifar_lab.training.precision import AUTOCAST_TYPES
from cifar_lab.training.prepare import prepare
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""A function of logits (N, num_classes) and labels, (N,) or soft, that returns the mean loss."""

AUXILIARY_WEIGHT = 0.3  # the weight of each auxiliary loss, as in GoogLeNet (Szegedy et al. 2014)


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
        model: Is trained in place, on the device where it is. It returns logits, or in training a
            tuple: the first logits are the model's, and the loss of each further one counts 0.3.
        loader: Gives batches (images, labels): images (N, C, H, W), float32; labels (N,), int64,
            or soft labels (N, num_classes), float32.
        optimizer: Changes the weights once per batch.
        loss_fn: Maps logits and labels to the batch's mean loss.
        precision: The precision of the forward pass and the loss: "fp32", "bf16" or "fp16".
        scaler: Keeps small fp16 gradients from becoming zero; None for a new one where needed.
        gradient_clip: The largest norm of the gradients, which are scaled down to it; None for no
            limit.
        after_step: Is called after each step with the number of steps done in this epoch.

    Returns:
        The mean of the batches' mean losses, measured while the weights were changing.

    Raises:
        TrainingDivergedError: The loss became NaN or infinite.
        LeakedTestImagesError: The loader is known to hold test images.
        ValueError, TypeError: There are no batches, or they don't fit the model.

    Example:
        >>> import cifar_lab as lab, torch
        >>> batches = lab.Batches(lab.load("synthetic").train, batch_size=500, shuffle=True)
        >>> model = lab.build_model("mlp").to(batches.device)
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        >>> losses = [
        ...     lab.train_epoch(model, batches, optimizer, torch.nn.CrossEntropyLoss())
        ...     for epoch in range(2)
        ... ]
        >>> losses[1] < losses[0]
        True
    """
    device = device_of(model)
    batches = training_batches(loader, device)
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    losses, check_logits = Losses(), LogitsCheck(num_classes_of(loader))
    keep_averages_normal(optimizer)
    model.train()
    for images, labels in batches:
        with _autocast(device, precision):
            logits, *auxiliary = logits_in(run_model(model, images))
            check_logits(logits, labels)
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
        losses.add(loss)
        if after_step is not None:
            after_step(losses.count)
    return losses.mean()


def _autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, AUTOCAST_TYPES[precision])


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
    """Train a model by a recipe and return one record per epoch.

    On one machine and number of threads the run is a function of the model's weights, the images,
    the recipe and the seed. The global generators of PyTorch (from which dropout draws), numpy and
    Python are seeded at the start of each epoch.

    Args:
        model: Is moved to the device and trained in place; takes images (N, 3, H, W) in [0, 1].
        train: The images to train on: an image set, or a loader of (images, labels), which has its
            own batches.
        recipe: Says how to train: epochs, optimizer and all other settings.
        validation: The images whose accuracy is measured after each epoch; `keep_best` and
            `patience` depend on it.
        test: Images whose accuracy is measured after each epoch too, but decides nothing.
        seed: Seeds the order of the images, augmentation and dropout.
        device: The device to train on; None for the best available.
        checkpoint: The file in which all that resuming needs is saved after each epoch.
        resume: Whether to resume from the checkpoint, if there is one already. On the CPU the
            resumed run ends with the same weights, to the bit, as one that was never interrupted,
            if `train` is an ImageSet or a loader that draws from the global generators alone.
        on_epoch: Is called with the epoch's record after each epoch, for example to save weights.
        progress: Whether to print an estimate of the time, a bar, and one line per epoch.

    Returns:
        One record per epoch, with the loss, the accuracies and the seconds.

    Raises:
        ValueError, TypeError: There are test images among the training images; the loader is empty
            or its batches are of another kind; the classes don't match the model's outputs; or the
            checkpoint is damaged or that of another run.
        FileExistsError: There is a checkpoint, and `resume` is False.
        TrainingDivergedError: The loss became NaN or infinite; the message says in which epoch.

    Example:
        >>> import cifar_lab as lab
        >>> train, validation = lab.split(lab.load("synthetic").train, seed=0)
        >>> recipe = lab.Recipe(epochs=2, batch_size=250, optimizer="adam", learning_rate=1e-3)
        >>> model = lab.build_model("mlp")
        >>> history = lab.fit(model, train, recipe, validation=validation, progress=False)
        >>> [record.epoch for record in history]
        [1, 2]
    """
    # Prepare
    setup = prepare(
        model,
        train,
        recipe,
        validation=validation,
        test=test,
        seed=seed,
        device=device,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
    )
    state = setup.state

    # Train, measure, record, save
    while not state.finished:
        epoch = len(state.history)
        batches = setup.batches(epoch)
        start = time.perf_counter()
        with setup.training(epoch):
            train_loss = train_epoch(
                model,
                batches,
                state.optimizer,
                setup.loss_fn,
                precision=setup.precision,
                scaler=state.scaler,
                gradient_clip=recipe.gradient_clip,
                after_step=setup.after_step,
            )
        seconds = time.perf_counter() - start
        record = EpochRecord(epoch + 1, train_loss, *setup.accuracies(), seconds)
        state.add(record)
        if progress:
            print(record)
        setup.checkpoint.save(state)
        if on_epoch is not None:
            on_epoch(record)

    # Leave the final weights
    state.leave_final_weights()
    if recipe.reestimate_norms and isinstance(train, ImageSet):
        with setup.acceleration.within(model):
            reestimate_norms(model, train, seed=setup.seed)
    return state.history
