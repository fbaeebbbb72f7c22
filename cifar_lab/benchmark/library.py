"""The library: `fit`, as every experiment is trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from cifar_lab.benchmark.profile import Stopwatch
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.models.counting import count_training_flops
from cifar_lab.training.acceleration import find_acceleration
from cifar_lab.training.custom import loss_function
from cifar_lab.training.data_checks import first_batch
from cifar_lab.training.history import EpochRecord
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.precision import resolve_precision
from cifar_lab.training.prepare import training_loader
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import TrainingState


class Library:
    """Trains an experiment with `fit`. Arguments and methods are those of `Baseline`."""

    def __init__(self, experiment: Experiment, recipe: Recipe, device: torch.device) -> None:
        self.experiment, self.recipe, self.device = experiment, recipe, device
        self.precision = resolve_precision(recipe.precision, device)

    def train(
        self, train: ImageSet, watched: ImageSet, on_epoch: Callable[[EpochRecord], None]
    ) -> None:
        """Train, and measure the accuracy on `watched` after each epoch, not in its seconds."""
        is_test = watched.role is Role.TEST
        fit(
            self._model(train.num_classes),
            train,
            self.recipe,
            validation=None if is_test else watched,
            test=watched if is_test else None,
            device=self.device,
            on_epoch=on_epoch,
            progress=False,
        )

    def profile(self, train: ImageSet) -> tuple[dict[str, float], float]:
        """Return the parts' shares of an epoch's time, and training's operations for an image."""
        recipe = self.recipe
        model = self._model(train.num_classes)
        state = TrainingState(model, recipe, self.precision)
        first, loader = (training_loader(train, recipe, 0, self.device) for _ in range(2))
        flops = count_training_flops(state.model)
        acceleration = find_acceleration(recipe, model, first_batch(first, self.device)[0])
        watch = Stopwatch(state.model, state.optimizer)  # after the trial passes before training
        with acceleration.within(model):
            train_epoch(
                state.model,
                watch.batches(loader),
                state.optimizer,
                loss_function(None, recipe, self.device),
                precision=self.precision,
                scaler=state.scaler,
                gradient_clip=recipe.gradient_clip,
                after_step=lambda step: state.update_average(),
            )
        return watch.shares(), flops

    def _model(self, num_classes: int) -> nn.Module:
        torch.manual_seed(0)
        return self.experiment.build_model(num_classes).to(self.device)
