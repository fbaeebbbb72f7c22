"""The lines that training prints, and what it says to usual mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import Data, ImageSet
from cifar_lab.models.layers.normalize import Normalize
from cifar_lab.training import estimate
from cifar_lab.training.announcer import busy_hint
from cifar_lab.training.estimate import TimeEstimate
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.recipe import Recipe

CPU = torch.device("cpu")


def linear(*further: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10), *further)


def printed(capsys: pytest.CaptureFixture[str], *arguments: Any, **options: Any) -> list[str]:
    fit(*arguments, **{"device": "cpu", **options})
    return capsys.readouterr().out.splitlines()


# ---- the beginning and the end


def test_one_epoch_of_one_batch_is_called_that(
    train: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, linear(), train, Recipe(1, 50, "sgd", 0.1))
    assert lines[0] == "Training 1 epoch of 1 batch on cpu in fp32."
    assert len(lines) == 3 and "left" not in lines[-1]


def test_a_resumed_run_says_how_much_is_left_and_a_finished_one_where_it_is_from(
    train: ImageSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, recipe = tmp_path / "run.pt", Recipe(2, 16, "sgd", 0.1)

    def interrupt(record: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(linear(), train, recipe, device="cpu", checkpoint=path, on_epoch=interrupt)
    capsys.readouterr()
    lines = printed(capsys, linear(), train, recipe, checkpoint=path, resume=True)
    assert lines[0] == "Resuming: 1 more epoch of 4 batches on cpu in fp32."
    lines = printed(capsys, linear(), train, recipe, checkpoint=path, resume=True)
    assert lines == [f"Already trained: 2 epochs, loaded from {path}."]


@pytest.mark.parametrize(
    ("keep_best", "kept"), [(True, "kept epoch 1"), (False, "kept the last weights")]
)
def test_early_stopping_says_so(
    train: ImageSet, capsys: pytest.CaptureFixture[str], keep_best: bool, kept: str
) -> None:
    recipe = Recipe(9, 16, "sgd", 1e-12, patience=3, keep_best=keep_best)
    lines = printed(capsys, linear(), train, recipe, validation=train)
    assert lines[-1] == (
        f"Stopped after epoch 4: no better validation accuracy for 3 epochs; {kept}."
    )
    assert lines[-2].startswith("epoch   4") and "left" not in lines[-2]


def test_an_end_by_a_callback_is_said(train: ImageSet, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe(9, 16, "sgd", 0.1)
    lines = printed(capsys, linear(), train, recipe, callback=lambda each: each.record.epoch == 2)
    assert lines[-1] == "Stopped after epoch 2: the callback returned True; kept the last weights."


# ---- the time


def test_the_time_left_is_that_of_the_latest_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that jumps: 1, 10, 20, 30 and 40 seconds per epoch."""
    now = [100.0]
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: now[0])
    timer = TimeEstimate(3, 6, CPU)
    timer.begin()
    left = []
    for seconds in (1, 10, 20, 30, 40):
        now[0] += seconds
        left.append(timer.after_epoch())
    assert left == [5 * 1, 4 * 5.5, 3 * (31 / 3), 2 * 20, 1 * 30]


def test_the_first_estimate_is_the_fastest_step_but_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: now[0])
    timer = TimeEstimate(100, 2, CPU)
    timer.begin()
    found = []
    for seconds in (1, 5, 4, 6, 1):
        now[0] += seconds
        found.append(timer.after_step())
    assert found == [None, None, None, 2 * 100 * 4, None]


@pytest.mark.parametrize(
    ("load", "threads", "hinted"), [(11.0, 2, True), (3.0, 2, False), (11.0, 1, False)]
)
def test_a_busy_machine_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, load: float, threads: int, hinted: bool
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    hint = busy_hint()
    assert (hint is not None) is hinted
    if hint is not None:
        assert "load 11 on 2 cores" in hint and "OMP_NUM_THREADS=1" in hint


# ---- usual mistakes


class Functional(nn.Module):
    """A softmax that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = linear()

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).softmax(dim=1)


def says(capsys: pytest.CaptureFixture[str], *arguments: Any, **options: Any) -> str:
    return " ".join(printed(capsys, *arguments, progress=False, **options))


@pytest.mark.parametrize("build", [lambda: linear(nn.Softmax(dim=1)), Functional])
def test_a_softmax_before_the_cross_entropy_is_pointed_out(
    train: ImageSet,
    recipe: Recipe,
    capsys: pytest.CaptureFixture[str],
    build: Callable[[], nn.Module],
) -> None:
    text = says(capsys, build(), train, recipe)
    assert "ends in a softmax, and the cross-entropy applies another" in text
    nll = nn.NLLLoss()
    assert says(capsys, build(), train, recipe, loss_fn=lambda a, b: nll(a.log(), b)) == ""


@pytest.mark.parametrize("last", [nn.LogSoftmax(dim=1), nn.Sigmoid(), nn.ReLU(), nn.Identity()])
def test_another_end_is_not(
    train: ImageSet, recipe: Recipe, capsys: pytest.CaptureFixture[str], last: nn.Module
) -> None:
    assert says(capsys, linear(last), train, recipe) == ""


class Normalised(Dataset[tuple[Tensor, int]]):
    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.images[index]
        return (image - 0.5) / 0.25, label


def test_normalised_images_are_pointed_out_where_the_network_does_not_expect_them(
    train: ImageSet, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    loader = DataLoader(Normalised(train), 16)
    normalising = nn.Sequential(Normalize((0.5,) * 3, (0.25,) * 3), linear())
    assert "normalises images itself and expects [0, 1]" in says(
        capsys, normalising, loader, recipe
    )
    text = says(capsys, linear(), loader, recipe, validation=train)
    assert "run from -2.0 to 2.0, those to evaluate on from 0 to 1" in text
    assert says(capsys, linear(), loader, recipe, validation=loader) == ""
    assert says(capsys, normalising, train, recipe, validation=train) == ""


def test_normalisation_among_a_recipe_s_transforms_is_pointed_out(
    train: ImageSet, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = replace(recipe, augment=(lambda image: (image - 0.5) / 0.25,))
    for validation in (train, None):
        assert "those to evaluate on from 0 to 1" in says(
            capsys, linear(), train, shifted, validation=validation
        )


# ---- usual slips that are errors


def test_a_class_in_the_place_of_a_network_is_answered_in_one_sentence(
    train: ImageSet, recipe: Recipe
) -> None:
    message = r"^Functional is a class; expected a network. Make one of it: Functional\(\).$"
    model: Any = Functional
    with pytest.raises(TypeError, match=message):
        fit(model, train, recipe)
    optimizer = torch.optim.SGD(linear().parameters(), lr=0.1)
    with pytest.raises(TypeError, match=message):
        train_epoch(model, Batches(train, 16, device="cpu"), optimizer, nn.CrossEntropyLoss())


def test_images_in_the_place_of_batches_are_to_be_wrapped(train: ImageSet, data: Data) -> None:
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for given, named in ((train, "images"), (data, r"data\.train")):
        loader: Any = given
        with pytest.raises(TypeError, match=rf"Wrap the images: .*Batches\({named}, 64, shuffle"):
            train_epoch(model, loader, optimizer, nn.CrossEntropyLoss())


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_a_dataset_in_the_place_of_its_images_is_named(
    data: Data, recipe: Recipe, name: str
) -> None:
    given: dict[str, Any] = {"train": data.train, name: data}
    with pytest.raises(TypeError, match=rf"{name} is Data\(.*expected .* data.train"):
        fit(linear(), recipe=recipe, **given)
