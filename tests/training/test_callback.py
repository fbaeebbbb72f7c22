from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet
from cifar_lab.evaluation import test_accuracy
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.loop import fit
from cifar_lab.training.progress import Progress
from cifar_lab.training.recipe import Recipe


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))


def train_on(images: ImageSet, recipe: Recipe, **options: Any) -> tuple[nn.Module, History]:
    model = options.pop("model", None) or linear()
    options = {"device": "cpu", "progress": False, **options}
    return model, fit(model, images, recipe, **options)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(5, 16, "adam", 1e-3)


def test_a_callback_sees_the_run_after_each_epoch(train: ImageSet, recipe: Recipe) -> None:
    seen: list[Progress] = []
    accuracies = []

    def look(progress: Progress) -> None:
        seen.append(progress)
        accuracies.append(test_accuracy(progress.model, train))

    model, history = train_on(train, recipe, validation=train, callback=look, title="Mine")
    assert [progress.record for progress in seen] == history
    assert [progress.history for progress in seen] == [history[:count] for count in range(1, 6)]
    assert accuracies == [record.validation_accuracy for record in history]
    assert all(progress.model is model for progress in seen)
    assert isinstance(seen[0].optimizer, torch.optim.Adam)
    assert {(progress.epochs, progress.title) for progress in seen} == {(5, "Mine")}
    assert len(repr(seen[0])) < 500


def test_looking_changes_no_weights(train: ImageSet, recipe: Recipe) -> None:
    def look(progress: Progress) -> None:
        torch.rand(3)
        progress.history.clear()

    watched, history = train_on(train, recipe, callback=look)
    alone, _ = train_on(train, recipe)
    assert torch.equal(watched[1].weight, alone[1].weight)
    assert len(history) == 5


@pytest.mark.parametrize("answer", [True, np.True_, torch.tensor(True)])
def test_true_ends_training(train: ImageSet, recipe: Recipe, answer: Any) -> None:
    stopped, history = train_on(
        train, recipe, callback=lambda each: answer and each.record.epoch == 2
    )
    assert len(history) == 2
    two, _ = train_on(train, replace(recipe, epochs=2))
    assert torch.equal(stopped[1].weight, two[1].weight)


@pytest.mark.parametrize(
    "answer", [None, False, 1, 0.7, "yes", [3], torch.tensor(1), torch.tensor([True, False])]
)
def test_other_answers_do_not(train: ImageSet, recipe: Recipe, answer: Any) -> None:
    _, history = train_on(train, recipe, callback=lambda progress: answer)
    assert len(history) == 5


def test_a_run_that_was_ended_stays_so_until_it_gets_more_epochs(
    train: ImageSet, recipe: Recipe, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    ended: list[bool] = []

    def note(record: EpochRecord) -> None:
        ended.append(torch.load(path, weights_only=True)["state"]["stopped"])

    train_on(
        train, recipe, checkpoint=path, callback=lambda each: len(each.history) == 2, on_epoch=note
    )
    assert ended == [False, True]  # a backup that `on_epoch` makes knows the end
    _, history = train_on(train, recipe, checkpoint=path, resume=True)
    assert len(history) == 2
    more, history = train_on(train, replace(recipe, epochs=7), checkpoint=path, resume=True)
    whole, _ = train_on(train, replace(recipe, epochs=7))
    assert len(history) == 7
    assert torch.equal(more[1].weight, whole[1].weight)


def test_the_best_weights_are_left_after_an_early_end(train: ImageSet, recipe: Recipe) -> None:
    model, history = train_on(
        train,
        replace(recipe, keep_best=True, learning_rate=0.05),
        validation=train,
        callback=lambda progress: progress.record.epoch == 4,
    )
    accuracies = [record.validation_accuracy for record in history]
    assert test_accuracy(model, train) == max(accuracies)
    assert len(accuracies) == 4


def test_what_a_callback_changes_is_resumed(
    train: ImageSet, recipe: Recipe, tmp_path: Path
) -> None:
    def decay_more(progress: Progress) -> None:
        for group in progress.optimizer.param_groups:
            group["weight_decay"] += 0.5

    def killed(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole, _ = train_on(train, recipe, callback=decay_more)
    options = {"callback": decay_more, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(KeyboardInterrupt):
        train_on(train, recipe, on_epoch=killed, **options)
    resumed, _ = train_on(train, recipe, resume=True, **options)
    assert torch.equal(resumed[1].weight, whole[1].weight)


def test_an_error_in_a_callback_costs_no_epoch(
    train: ImageSet, recipe: Recipe, tmp_path: Path
) -> None:
    def fail(progress: Progress) -> None:
        raise ZeroDivisionError

    checkpoint = tmp_path / "run.pt"
    with pytest.raises(ZeroDivisionError):
        train_on(train, recipe, callback=fail, checkpoint=checkpoint)
    seen: list[int] = []
    train_on(
        train,
        recipe,
        on_epoch=lambda record: seen.append(record.epoch),
        checkpoint=checkpoint,
        resume=True,
    )
    assert seen == [2, 3, 4, 5]


@pytest.mark.parametrize(
    "function", ["save", [print], dict, lambda: None, lambda epoch, loss: None]
)
@pytest.mark.parametrize("name", ["callback", "on_epoch"])
def test_what_can_not_be_called_after_an_epoch_is_named_before_the_first(
    train: ImageSet, recipe: Recipe, name: str, function: Any
) -> None:
    model = linear()
    before = model[1].weight.clone()
    with pytest.raises(TypeError, match=f"^{name} .*a function of one argument"):
        train_on(train, recipe, model=model, **{name: function})
    assert torch.equal(model[1].weight, before)


def test_a_learning_rate_that_the_schedule_would_set_again_is_an_error(
    train: ImageSet, recipe: Recipe
) -> None:
    def halve(progress: Progress) -> None:
        progress.optimizer.param_groups[0]["lr"] /= 2

    with pytest.raises(ValueError, match="Give fit a scheduler"):
        train_on(train, recipe, callback=halve)
    scheduler = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1.0)
    _, history = train_on(train, recipe, callback=halve, scheduler=scheduler)
    assert len(history) == 5
