"""The training loop of every experiment.

for every epoch:                      `fit`
    for every batch:                  `train_epoch`
        forward, loss, backward, step
    measure, record, save, print a line
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from cifar_lab.data.batches import Loader, num_classes_of
from cifar_lab.data.image_set import ImageSet
from cifar_lab.models.forward import LogitsCheck, device_of, logits_in, run_model
from cifar_lab.models.inspection import require_network
from cifar_lab.training.batch_norm import reestimate_norms
from cifar_lab.training.custom import OptimizerSource, SchedulerSource
from cifar_lab.training.data_checks import batches_to_train
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.losses import Losses, LossFunction, batch_loss
from cifar_lab.training.optimizers import keep_averages_normal
from cifar_lab.training.precision import autocast
from cifar_lab.training.prepare import prepare
from cifar_lab.training.progress import Callback, refuse_uncallable
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.sharing import copy_model_from_first, share_of_batch, sum_gradients
from cifar_lab.utils.ranks import ALONE, Ranks


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
    ranks: Ranks = ALONE,
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
        ranks: The processes that share each batch, as `fit` joins them; by default this one alone.

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
    require_network(model)
    device = device_of(model)
    batches = batches_to_train(loader, device)
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=precision == "fp16")
    losses, check_logits = Losses(), LogitsCheck(num_classes_of(loader))
    keep_averages_normal(optimizer)
    model.train()
    for images, labels in batches:
        images, labels, weight = share_of_batch(ranks, images, labels)
        with autocast(device, precision):
            outputs = logits_in(run_model(model, images))
            check_logits(outputs[0], labels)
            loss = weight * batch_loss(loss_fn, outputs, labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        loss = sum_gradients(ranks, model, optimizer, loss)
        if gradient_clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), gradient_clip)
        scaler.step(optimizer)
        scaler.update()
        losses.add(loss)
        if after_step is not None:
            after_step(losses.count)
    return losses.mean()


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
    callback: Callback | None = None,
    loss_fn: LossFunction | None = None,
    optimizer: OptimizerSource | None = None,
    scheduler: SchedulerSource | None = None,
    progress: bool = True,
    title: str = "",
) -> History:
    """Train a model by a recipe and return one record per epoch.

    On one machine and number of threads the run is a function of the model's weights, the images,
    the recipe and the seed. The global generators of PyTorch (from which dropout draws), numpy and
    Python are seeded at the start of each epoch.

    Several processes that torchrun started share the run: each trains on its part of every batch,
    and all end with the same weights (see cifar_lab/training/README.md).

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
            if `train` is an ImageSet or a loader that draws from the global generators alone. A
            recipe with more epochs than the saved run had trains it on.
        on_epoch: Is called with the epoch's record after each epoch, for example to save weights.
        callback: Is called after each epoch with a `Progress` (the model, the optimizer, the
            epoch's record, the history), before the checkpoint is saved; training ends after the
            epoch where it returns True.
        loss_fn: Maps logits and labels to the batch's mean loss; None for cross-entropy with the
            recipe's label smoothing. With CutMix or MixUp the labels are soft.
        optimizer: An optimizer over the model's parameters, or a function that builds one from
            them, such as `partial(torch.optim.RMSprop, lr=1e-3)`; None for the recipe's, whose
            settings are not used otherwise. The recipe's schedule scales its learning rate.
        scheduler: A scheduler of that optimizer, or a function that builds one from the optimizer;
            None for the recipe's schedule. It makes one step per epoch; `ReduceLROnPlateau` gets
            the validation loss.
        progress: Whether to print an estimate of the time, a bar, and one line per epoch.
        title: Names the run in the callback's `Progress`.

    Returns:
        One record per epoch, with the losses, the accuracies and the seconds.

    Raises:
        ValueError, TypeError: There are test images among the training images; the loader is empty
            or its batches are of another kind; the classes don't match the model's outputs; the
            checkpoint is damaged or that of another run; or the model is a class.
        FileExistsError: There is a checkpoint, and `resume` is False.
        TrainingDivergedError: The loss became NaN or infinite; the message says in which epoch.
        ConnectionError: Under torchrun, another process of the run ended.

    Example:
        >>> import cifar_lab as lab
        >>> train, validation = lab.split(lab.load("synthetic").train, seed=0)
        >>> recipe = lab.Recipe(epochs=2, batch_size=250, optimizer="adam", learning_rate=1e-3)
        >>> model = lab.build_model("mlp")
        >>> history = lab.fit(model, train, recipe, validation=validation, progress=False)
        >>> [record.epoch for record in history]
        [1, 2]
        >>> import torch
        >>> rmsprop = torch.optim.RMSprop(model.parameters(), lr=1e-4)
        >>> more = lab.fit(model, train, recipe, optimizer=rmsprop, progress=False)
    """
    # Prepare
    refuse_uncallable(callback=callback, on_epoch=on_epoch)
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
        loss_fn=loss_fn,
        optimizer=optimizer,
        scheduler=scheduler,
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
                ranks=setup.ranks,
            )
        record = setup.measure(train_loss, seconds=time.perf_counter() - start)
        state.add(record)
        setup.announcer.after_epoch(record)
        setup.finish(record, callback, on_epoch, title)

    # Leave the final weights
    setup.announcer.end()
    state.leave_final_weights()
    if recipe.reestimate_norms and isinstance(train, ImageSet):
        with setup.acceleration.within(model):
            reestimate_norms(model, train, seed=setup.seed)
    copy_model_from_first(setup.ranks, model)
    return state.history
