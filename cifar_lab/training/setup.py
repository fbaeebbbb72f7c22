"""A run that is ready: all that `fit` does in an epoch besides training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm.std import tqdm

from cifar_lab.data.batches import Batches, Loader
from cifar_lab.data.leakage import Guarded
from cifar_lab.data.shares import AlikeLoader
from cifar_lab.evaluation import accuracy_and_loss
from cifar_lab.training.acceleration import Acceleration
from cifar_lab.training.announcer import Announcer
from cifar_lab.training.checkpoint import Checkpoint
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.losses import LossFunction
from cifar_lab.training.optimizers import lay_out_averages
from cifar_lab.training.progress import Callback, Progress, asks_to_stop
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at
from cifar_lab.training.sharing import copy_weights_from_first, synchronized_norms
from cifar_lab.training.state import TrainingState
from cifar_lab.utils.console import progress_stream
from cifar_lab.utils.errors import TrainingDivergedError
from cifar_lab.utils.ranks import Ranks
from cifar_lab.utils.seeding import derive_seed, seed_generators


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
        validation: The validation batches, or this process's share; None for no validation.
        test: The test batches, or this process's share; None where the test accuracy is not
            measured.
        state: Everything that training changes.
        first_epoch: The number of epochs that were done before this call.
        acceleration: The way in which the model computes during training.
        checkpoint: Saves the state.
        announcer: Prints the lines of the run.
        ranks: The processes that share the run.
    """

    recipe: Recipe
    seed: int
    precision: str
    train: Loader
    steps: float
    loss_fn: LossFunction
    validation: Loader | None
    test: Loader | None
    state: TrainingState
    first_epoch: int
    acceleration: Acceleration
    checkpoint: Checkpoint
    announcer: Announcer
    ranks: Ranks

    def batches(self, epoch: int) -> Loader:
        """Seed the generators for an epoch, 0 for the first, and return its training batches."""
        seed = derive_seed(self.seed, epoch, "dropout")
        batches = self.train
        if isinstance(batches, Batches):
            batches.epoch = epoch
        elif self.ranks.size > 1:
            batches = AlikeLoader(batches, self.ranks, seed)
        if not isinstance(batches, Batches) and epoch == self.first_epoch:
            batches = Guarded(batches, "training")
        if not self.ranks.is_first:  # each process has its own dropout
            seed = derive_seed(self.seed, epoch, f"dropout in process {self.ranks.rank}")
        seed_generators(seed)
        return tqdm(
            batches,
            desc=f"epoch {epoch + 1}/{self.recipe.epochs}",
            total=None if math.isinf(self.steps) else int(self.steps),
            leave=False,
            file=progress_stream(),
            disable=not self.announcer.enabled,
        )

    def after_step(self, step: int) -> None:
        """Update the moving average, and set the next step's learning rate."""
        position = len(self.state.history) + step / self.steps
        self.state.after_step(learning_rate_at(self.recipe, position))
        self.announcer.after_step()

    @contextmanager
    def training(self, epoch: int) -> Iterator[None]:
        """Accelerate the model, and add the epoch to the error of a loss that diverges."""
        model = self.state.model
        self.state.set_learning_rate(learning_rate_at(self.recipe, epoch))
        copy_weights_from_first(self.ranks, self.state)
        try:
            with self.acceleration.within(model), synchronized_norms(self.ranks, model):
                lay_out_averages(self.state.optimizer)
                yield
        except TrainingDivergedError as error:
            raise TrainingDivergedError(f"In epoch {epoch + 1} {error}") from None
        copy_weights_from_first(self.ranks, self.state)

    def measure(self, train_loss: float, seconds: float) -> EpochRecord:
        """Return the epoch's record, with the accuracies and the loss that are to be measured."""
        state = self.state
        accuracy = loss = test = None
        with self.acceleration.within(state.model), state.evaluated() as model:
            if self.validation is not None:
                accuracy, loss = accuracy_and_loss(model, self.validation, self.ranks)
            if self.test is not None:
                test, _ = accuracy_and_loss(model, self.test, self.ranks)
        epoch = len(state.history) + 1
        rate = state.last_learning_rate
        record = EpochRecord(epoch, train_loss, accuracy, test, seconds, loss, rate)
        return self.ranks.from_first(lambda: record)  # the seconds are each process's own

    def finish(
        self,
        record: EpochRecord,
        callback: Callback | None,
        on_epoch: Callable[[EpochRecord], None] | None,
        title: str,
    ) -> None:
        """Call the callback, save the state with all that it changed, and call `on_epoch`.

        Raises:
            ValueError: The callback changed a learning rate that the recipe's schedule sets.
        """
        state = self.state
        try:
            if callback is not None:
                history = History(state.history)  # the callback's own, which it may change
                seen = (state.model, state.optimizer, record, history, self.recipe.epochs, title)
                rates = state.learning_rates()
                state.stopped = asks_to_stop(callback(Progress(*seen)))
                refuse_change_without_effect(rates, state)
            state.stopped = any(self.ranks.gather(state.stopped))
        finally:  # an error in the callback costs no epoch
            self.checkpoint.save(state)
        if on_epoch is not None:  # last: it may copy the checkpoint
            on_epoch(record)


def refuse_change_without_effect(rates: list[float], state: TrainingState) -> None:
    """Raise where a callback changed learning rates, as they were before, that would be set again.

    Raises:
        ValueError: There is no scheduler, so that the recipe's schedule sets them at each step.
    """
    if state.scheduler is None and not state.finished and state.learning_rates() != rates:
        raise ValueError(
            "The callback changed the optimizer's learning rate, which the recipe's schedule sets "
            "again before each step. Give fit a scheduler instead, such as scheduler=partial("
            "torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.5**epoch)."
        )
