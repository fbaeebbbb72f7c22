"""Everything that training changes, and that a checkpoint has to hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cifar_lab.models.wrapping import load_plain_state, plain_state, state_for, unwrap
from cifar_lab.training.custom import (
    OptimizerSource,
    SchedulerSource,
    custom_optimizer,
    custom_scheduler,
)
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.optimizers import build_optimizer
from cifar_lab.training.recipe import Recipe


class MovingAverage:
    """An exponential moving average of a model's parameters and buffers, as PyTorch computes it.

    Only their values are copied, not the model, which may hold objects that can't be copied.

    Args:
        model: The model whose values are averaged.
        decay: The share of the average that is kept at each step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = unwrap(model)
        self._follow = get_ema_multi_avg_fn(decay)
        self.values: dict[str, Tensor] = {}  # empty before the first step

    def _current(self) -> dict[str, Tensor]:
        named = (*self._model.named_parameters(), *self._model.named_buffers())
        return {name: tensor.detach() for name, tensor in named}

    @torch.no_grad()
    def update(self) -> None:
        """Update the average by the model's values; the first update copies them."""
        current = self._current()
        if not self.values:
            self.values = {name: tensor.clone() for name, tensor in current.items()}
            return
        groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = defaultdict(lambda: ([], []))
        for name, value in self.values.items():
            kept, followed = groups[value.device, value.dtype]
            kept.append(value)
            followed.append(current[name])
        for kept, followed in groups.values():
            self._follow(kept, followed, 0)

    @torch.no_grad()
    def put_into_model(self) -> None:
        """Overwrite the model's values with the averages."""
        current = self._current()
        for name, value in self.values.items():
            current[name].copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages into the model for the block."""
        before = {name: tensor.clone() for name, tensor in self._current().items()}
        self.put_into_model()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in self._current().items():
                    tensor.copy_(before[name])

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Load stored averages, also those of PyTorch's `AveragedModel`."""
        current = self._current()
        stored = state_for(self._model, values)
        self.values = {
            name: value.to(current[name].device)
            for name, value in stored.items()
            if name in current  # leave out the second name of a tied tensor
        }


class TrainingState:
    """The model, its moving average, the optimizer, the history and the best weights so far.

    Args:
        model: The model, on the device where it is trained.
        recipe: Says which optimizer and average there are, and with which settings.
        precision: The precision; with "fp16" the gradients are scaled.
        optimizer: An optimizer in the place of the recipe's; see `fit`.
        scheduler: A scheduler in the place of the recipe's schedule; see `fit`.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        precision: str,
        optimizer: OptimizerSource | None = None,
        scheduler: SchedulerSource | None = None,
    ) -> None:
        device = next(model.parameters(), torch.empty(0)).device
        self.model = model
        self.recipe = recipe
        if optimizer is None:
            self.optimizer = build_optimizer(recipe, model, scaled=precision == "fp16")
        else:
            self.optimizer = custom_optimizer(optimizer, model)
        self._is_custom = optimizer is not None
        self.scheduler = None if scheduler is None else custom_scheduler(scheduler, self.optimizer)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self.average: MovingAverage | None = None
        if recipe.ema_decay is not None:
            self.average = MovingAverage(model, recipe.ema_decay)
        self.history = History()
        self.last_learning_rate: float | None = None
        self.stopped = False
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] | None = None

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """Put the average's weights, if there are any, into the model for the block."""
        if self.average is None:
            yield self.model
        else:
            with self.average.in_place():
                yield self.model

    @property
    def finished(self) -> bool:
        """Return whether all epochs are done, the patience is exhausted, or a callback said so."""
        return self.stopped or self.impatient or len(self.history) == self.recipe.epochs

    @property
    def impatient(self) -> bool:
        """Return whether the recipe's patience is exhausted."""
        patience = self.recipe.patience
        return patience is not None and len(self.history) - self.best_epoch >= patience

    def learning_rates(self) -> list[float]:
        """Return the present learning rate of each of the optimizer's parameter groups."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the optimizer's learning rate for the next step, unless a scheduler does.

        Some groups of a recipe's optimizer get a share of it. The groups of a custom optimizer get
        their own rates, times the factor that the recipe's schedule has reached.
        """
        if self.scheduler is not None:
            return
        for group in self.optimizer.param_groups:
            if self._is_custom:
                full_rate = group.setdefault("initial_lr", group["lr"])  # PyTorch's name for it
                group["lr"] = full_rate * (learning_rate / self.recipe.learning_rate)
            else:
                group["lr"] = learning_rate * group.get("share", 1.0)

    def after_step(self, next_learning_rate: float) -> None:
        """Update the average, note the step's learning rate, and set that of the next step."""
        self.update_average()
        self.last_learning_rate = self.learning_rates()[0]
        self.set_learning_rate(next_learning_rate)

    def update_average(self) -> None:
        """Update the moving average, if there is one."""
        if self.average is not None:
            self.average.update()

    def add(self, record: EpochRecord) -> None:
        """Add an epoch's record; keep the weights if they are the best on validation so far.

        A scheduler makes its step.
        """
        self.history.append(record)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            assert record.validation_loss is not None  # `prepare` has seen to it
            self.scheduler.step(record.validation_loss)
        elif self.scheduler is not None:
            self.scheduler.step()
        accuracy = record.validation_accuracy
        if accuracy is None:
            return
        best = self.history[self.best_epoch - 1].validation_accuracy if self.best_epoch else None
        if best is None or accuracy > best:
            self.best_epoch = record.epoch
            if self.recipe.keep_best:
                with self.evaluated() as model:
                    weights = plain_state(model.state_dict())
                    self.best_weights = {
                        name: value.cpu().clone() for name, value in weights.items()
                    }

    def leave_final_weights(self) -> None:
        """Put the weights into the model that the recipe asks for: best, averaged, or last."""
        if self.best_weights is not None:
            load_plain_state(self.model, self.best_weights)
        elif self.average is not None:
            self.average.put_into_model()

    def state_dict(self) -> dict[str, Any]:
        """Return everything as tensors and plain values, which load without running code."""
        return {
            "model": plain_state(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.values,
            "history": [asdict(record) for record in self.history],
            "stopped": self.stopped,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state that `state_dict` returned.

        Raises:
            RuntimeError, ValueError, KeyError: The state is that of another model or optimizer.
        """
        load_plain_state(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if state["scaler"]:  # empty where the run was last trained in another precision
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load(state["average"])
        self.history = History(EpochRecord(**record) for record in state["history"])
        self.stopped = state.get("stopped", False)  # files of earlier versions lack it
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]
