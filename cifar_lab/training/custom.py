"""A custom loss, optimizer and scheduler of PyTorch, in the place of the recipe's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from cifar_lab.data.augment.custom import text_of
from cifar_lab.training.losses import LossFunction
from cifar_lab.training.recipe import Recipe

OptimizerSource = torch.optim.Optimizer | Callable[[list[nn.Parameter]], torch.optim.Optimizer]
"""An optimizer over the model's parameters, or a function that builds one from them."""

SchedulerSource = LRScheduler | Callable[[torch.optim.Optimizer], LRScheduler]
"""A scheduler of the run's optimizer, or a function that builds one from it."""


def loss_function(given: LossFunction | None, recipe: Recipe, device: torch.device) -> LossFunction:
    """Return the loss to train with: the given one, on the device, or the recipe's cross-entropy.

    Raises:
        TypeError: The loss is a class, or can't be called.
        ValueError: The recipe has label smoothing, which the given loss does not use.
    """
    if given is None:
        return nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    if isinstance(given, type):
        raise TypeError(f"loss_fn is the class {given.__name__}; give {given.__name__}().")
    if not callable(given):
        raise TypeError(f"loss_fn is {given!r}; expected a function of (logits, labels).")
    if recipe.label_smoothing:
        raise ValueError(
            f"label_smoothing is {recipe.label_smoothing} in the recipe, but loss_fn is given, "
            "which does not use it. Set label_smoothing=0, and smooth in loss_fn."
        )
    return given.to(device) if isinstance(given, nn.Module) else given


def custom_optimizer(given: OptimizerSource, model: nn.Module) -> torch.optim.Optimizer:
    """Return the given optimizer, or the one that the given function builds for the model.

    Raises:
        TypeError: It is neither an optimizer nor a function that returns one.
        ValueError: The optimizer can't be built, needs a closure, or has none of the model's
            parameters.
    """
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = _built("optimizer", given, torch.optim.Optimizer, parameters, "Adam, lr=1e-3")
    refuse_closure(optimizer)
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    if not any(id(parameter) in held for parameter in parameters):
        raise ValueError(
            "The optimizer has none of the model's trainable parameters; expected an optimizer of "
            "this model. Build it from model.parameters(), or give fit the function that does."
        )
    return optimizer


def refuse_closure(optimizer: torch.optim.Optimizer) -> None:
    """Raise a ValueError for an optimizer that computes the loss itself, as LBFGS does."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"{type(optimizer).__name__} needs a closure, which computes the loss several times "
            "per step; fit computes it once per batch. Give another optimizer, or write the loop "
            "over the batches yourself: for images, labels in cifar_lab.Batches(train, 64)."
        )


def custom_scheduler(given: SchedulerSource, optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Return the given scheduler, or the one that the given function builds for the optimizer.

    Raises:
        TypeError: It is neither a scheduler nor a function that returns one.
        ValueError: The scheduler can't be built, or is another optimizer's.
    """
    scheduler = _built("scheduler", given, LRScheduler, optimizer, "StepLR, step_size=10")
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise ValueError(
            "The scheduler is another optimizer's; expected one of the optimizer that trains. "
            "Give fit that optimizer too, or a function: scheduler=lambda optimizer: "
            f"{type(scheduler).__name__}(optimizer, ...)."
        )
    return scheduler


def _built(name: str, given: Any, kind: type, argument: Any, example: str) -> Any:
    """Return what was given, or what a given function returns for the argument."""
    if isinstance(given, kind):
        return given
    remedy = f"Give {name}=partial({example}), say."
    if not callable(given):
        raise TypeError(
            f"{name} is {given!r}; expected a torch {kind.__name__}, or a function that builds "
            f"one. {remedy}"
        )
    try:
        built = given(argument)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The {name} can't be built: {error}. {remedy}") from error
    if not isinstance(built, kind):
        raise TypeError(
            f"{name} returned a {type(built).__name__}; expected a torch {kind.__name__}. {remedy}"
        )
    return built


def refuse_plateau_without_validation(scheduler: LRScheduler | None, validation: Any) -> None:
    """Raise a ValueError where a scheduler waits for a validation loss that there won't be."""
    if isinstance(scheduler, ReduceLROnPlateau) and validation is None:
        raise ValueError(
            "ReduceLROnPlateau needs the validation loss, but validation is None. Give "
            "validation=..., or another scheduler."
        )


def refuse_other_length(scheduler: LRScheduler | None, epochs: int) -> None:
    """Raise a ValueError for a one-cycle scheduler that is planned for steps, not for epochs."""
    if isinstance(scheduler, OneCycleLR) and scheduler.total_steps != epochs:
        raise ValueError(
            f"OneCycleLR is planned for {scheduler.total_steps} steps; expected {epochs}, one per "
            f"epoch. Give it total_steps={epochs}, or set schedule='one-cycle' in the recipe, "
            "which changes the learning rate at each batch."
        )


def describe_custom(
    loss_fn: LossFunction | None,
    optimizer: torch.optim.Optimizer | None,
    scheduler: LRScheduler | None,
) -> dict[str, str]:
    """Return texts for a run's checkpoint: "" where the recipe's own is used."""
    defaults = {} if optimizer is None else optimizer.defaults
    settings = {} if scheduler is None else scheduler.state_dict()
    return {
        "fit's loss_fn": "" if loss_fn is None else text_of(loss_fn),
        "fit's optimizer": "" if optimizer is None else _with_numbers(optimizer, defaults),
        "fit's scheduler": "" if scheduler is None else _with_numbers(scheduler, settings),
    }


def _with_numbers(thing: object, settings: Mapping[str, Any]) -> str:
    """Return an object's class and numbers; names of its other settings change with releases."""
    numbers = ", ".join(
        f"{name}={value:g}"
        for name, value in settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name[0] != "_"
    )
    return f"{type(thing).__name__}({numbers})"
