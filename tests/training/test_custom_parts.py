"""A custom loss, optimizer and scheduler in `fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from cifar_lab.data.augment import CutMix
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet
from cifar_lab.training.history import History
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at

RECIPE = Recipe(4, 16, "sgd", 1.0)
RMSPROP = partial(torch.optim.RMSprop, lr=1e-3, alpha=0.9)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))


def train_on(
    images: ImageSet, recipe: Recipe = RECIPE, **options: Any
) -> tuple[nn.Module, History]:
    model = options.pop("model", None) or linear()
    options = {"device": "cpu", "progress": False, **options}
    return model, fit(model, images, recipe, **options)


def by_hand(
    images: ImageSet,
    optimizer_of: Callable[..., torch.optim.Optimizer],
    loss_fn: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
    scheduler_of: Callable[..., Any] | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train with a loop that anybody would write; return the rates of the epochs, too."""
    model, rates = linear(), []
    optimizer = optimizer_of(model.parameters())
    scheduler = None if scheduler_of is None else scheduler_of(optimizer)
    for epoch in range(RECIPE.epochs):
        batches = Batches(images, RECIPE.batch_size, shuffle=True, device="cpu")
        batches.epoch = epoch
        for pixels, labels in batches:
            optimizer.zero_grad()
            loss_fn(model(pixels), labels).backward()
            optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        if scheduler is not None:
            scheduler.step()
    return model, rates


def squared(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits - functional.one_hot(labels, 10)).square().mean()


@pytest.mark.parametrize("as_instance", [False, True])
def test_a_custom_optimizer_trains_as_by_hand(train: ImageSet, as_instance: bool) -> None:
    model = linear()
    optimizer = RMSPROP(model.parameters()) if as_instance else RMSPROP
    model, history = train_on(train, model=model, optimizer=optimizer)
    expected, rates = by_hand(train, RMSPROP)
    assert torch.equal(model[1].weight, expected[1].weight)
    assert [record.learning_rate for record in history] == rates == [1e-3] * 4


def test_the_recipe_s_schedule_scales_the_rates_of_a_custom_optimizer(train: ImageSet) -> None:
    cosine = replace(RECIPE, learning_rate=7.0, schedule="cosine", schedule_per="epoch")
    model = linear()
    groups = [{"params": [model[1].weight]}, {"params": [model[1].bias], "lr": 0.5}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    _, history = train_on(train, cosine, model=model, optimizer=optimizer)
    factors = [learning_rate_at(cosine, epoch) / 7.0 for epoch in range(4)]
    expected = pytest.approx([0.1 * factor for factor in factors])
    assert [record.learning_rate for record in history] == expected
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.5 * 0, abs=1e-9)  # of the end


SCHEDULERS: dict[str, Callable[..., Any]] = {
    "step": partial(lr_scheduler.StepLR, step_size=2, gamma=0.1),
    "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=4),
    "one cycle": partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=4),
    "lambda": partial(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.5**epoch),
    "sequence": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.5)],
        milestones=[2],
    ),
}


@pytest.mark.filterwarnings("ignore:.*epoch parameter:UserWarning")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_custom_scheduler_steps_once_per_epoch(train: ImageSet, name: str) -> None:
    ignored = replace(RECIPE, schedule="cosine")
    model, history = train_on(train, ignored, optimizer=RMSPROP, scheduler=SCHEDULERS[name])
    expected, rates = by_hand(train, RMSPROP, scheduler_of=SCHEDULERS[name])
    assert [record.learning_rate for record in history] == rates
    assert torch.equal(model[1].weight, expected[1].weight)


def test_a_scheduler_of_a_recipe_s_optimizer(train: ImageSet) -> None:
    recipe = replace(RECIPE, learning_rate=0.1)
    _, history = train_on(train, recipe, scheduler=SCHEDULERS["step"])
    assert [record.learning_rate for record in history] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_a_plateau_waits_for_the_validation_loss(train: ImageSet) -> None:
    """A rate of almost nothing never gets better by the threshold."""
    plateau = partial(lr_scheduler.ReduceLROnPlateau, patience=1, threshold=0.5)
    _, history = train_on(
        train, replace(RECIPE, learning_rate=1e-6), validation=train, scheduler=plateau
    )
    assert [record.learning_rate for record in history] == pytest.approx([1e-6] * 3 + [1e-7])
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs the validation loss"):
        train_on(train, scheduler=plateau)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_custom_parts_resume_to_the_bit(train: ImageSet, tmp_path: Path, name: str) -> None:
    parts = {"optimizer": RMSPROP, "scheduler": SCHEDULERS[name], "loss_fn": squared}
    whole, history = train_on(train, **parts)

    def interrupt(record: Any) -> None:
        if record.epoch == 3:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train_on(train, checkpoint=path, on_epoch=interrupt, **parts)
    resumed, later = train_on(train, checkpoint=path, resume=True, **parts)
    assert torch.equal(resumed[1].weight, whole[1].weight)
    rates = [record.learning_rate for record in history]
    assert [record.learning_rate for record in later] == rates


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"optimizer": None}, r"fit's optimizer is '' here, 'RMSprop\(lr=0.001, .*alpha=0.9"),
        ({"optimizer": partial(RMSPROP, lr=0.1)}, r"fit's optimizer is 'RMSprop\(lr=0.1"),
        ({"loss_fn": None}, "fit's loss_fn is '' here, '.*squared' there"),
        ({"scheduler": SCHEDULERS["cosine"]}, r"fit's scheduler is 'CosineAnnealingLR\(T_max=4"),
    ],
)
def test_a_run_with_other_parts_is_another_run(
    train: ImageSet, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    parts = {"optimizer": RMSPROP, "scheduler": SCHEDULERS["step"], "loss_fn": squared}
    train_on(train, checkpoint=tmp_path / "run.pt", **parts)
    with pytest.raises(ValueError, match=message):
        train_on(train, checkpoint=tmp_path / "run.pt", resume=True, **(parts | changed))


def test_a_custom_loss_trains_as_by_hand(train: ImageSet) -> None:
    model, _ = train_on(train, optimizer=RMSPROP, loss_fn=squared)
    expected, _ = by_hand(train, RMSPROP, squared)
    assert torch.equal(model[1].weight, expected[1].weight)
    other, _ = train_on(train, optimizer=RMSPROP)
    assert not torch.equal(model[1].weight, other[1].weight)


def test_a_custom_loss_of_mixed_images_gets_soft_labels(train: ImageSet) -> None:
    shapes = set()

    def loss_fn(logits: Tensor, labels: Tensor) -> Tensor:
        shapes.add(labels.shape[1:])
        return functional.cross_entropy(logits, labels)

    train_on(train, replace(RECIPE, mix=CutMix()), loss_fn=loss_fn)
    assert shapes == {(10,)}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adam"}, TypeError, "optimizer is 'adam'; expected a torch Optimizer"),
        ({"optimizer": lambda parameters: 3}, TypeError, "returned a int; expected a torch Opt"),
        (
            {"optimizer": partial(torch.optim.RMSprop, speed=3)},
            ValueError,
            "optimizer can't be built: .*'speed'.* Give optimizer=partial",
        ),
        (
            {"optimizer": torch.optim.SGD(linear().parameters(), lr=0.1)},
            ValueError,
            "none of the model's trainable parameters",
        ),
        (
            {"optimizer": torch.optim.LBFGS},
            ValueError,
            "LBFGS needs a closure.* write the loop over the batches yourself",
        ),
        (
            {
                "optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
                "scheduler": partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=40),
            },
            ValueError,
            "OneCycleLR is planned for 40 steps; expected 4, one per epoch",
        ),
        ({"scheduler": "step"}, TypeError, "scheduler is 'step'; expected a torch LRScheduler"),
        ({"scheduler": lr_scheduler.StepLR}, ValueError, "scheduler can't be built: .*step_size"),
        (
            {"scheduler": SCHEDULERS["step"](RMSPROP(linear().parameters()))},
            ValueError,
            "scheduler is another optimizer's.*lambda optimizer: StepLR",
        ),
        ({"loss_fn": nn.MSELoss}, TypeError, r"loss_fn is the class MSELoss; give MSELoss\(\)"),
        ({"loss_fn": "mse"}, TypeError, r"loss_fn is 'mse'; expected a function of \(logits"),
        (
            {"loss_fn": nn.CrossEntropyLoss(reduction="none")},
            ValueError,
            r"returned shape \(16,\); expected one number.* Leave out reduction",
        ),
        ({"loss_fn": lambda logits, labels: 3.0}, TypeError, "loss_fn returned a float"),
    ],
)
def test_parts_that_can_not_be_trained_with_are_named(
    train: ImageSet, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train_on(train, **options)


def test_label_smoothing_that_a_custom_loss_would_ignore_is_refused(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="label_smoothing is 0.1 in the recipe, but loss_fn is"):
        train_on(train, replace(RECIPE, label_smoothing=0.1), loss_fn=squared)


def test_fit_with_an_optimizer_is_train_epoch_with_it(train: ImageSet) -> None:
    once = replace(RECIPE, epochs=1)
    fitted, _ = train_on(train, once, optimizer=RMSPROP, loss_fn=squared)
    model = linear()
    batches = Batches(train, 16, shuffle=True, device="cpu")
    train_epoch(model, batches, RMSPROP(model.parameters()), squared)
    assert torch.equal(fitted[1].weight, model[1].weight)
