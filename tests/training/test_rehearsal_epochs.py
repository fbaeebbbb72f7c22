"""Whole epochs of `fit` on a stand-in for a GPU: how often the host waits, and for what.

An epoch waits four times with validation images, however many steps it has: for the labels of the
first batch, which are looked at; for the losses; and for the logits and labels of the evaluation.
Each further fifty steps wait once more, so that a loss that diverges ends the run.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from small import synthetic_set
from stand_in_gpu import GPU, StandInGPU
from torch import nn

from cifar_lab.data.augment import (
    ColorJitter,
    MixUp,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    TrivialAugment,
)
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.training import losses
from cifar_lab.training.history import History
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe

AN_EPOCH = {
    ("to the host", "models/forward.py"): 1,
    ("to the host", "training/losses.py"): 1,
    ("to the host", "evaluation/prediction.py"): 2,
}
TRAIN, VALIDATION = synthetic_set(Role.TRAIN, 16, 0), synthetic_set(Role.VALIDATION, 8, 1)
SMALL = Recipe(2, 4, "adam", 1e-3, augment=(RandomHorizontalFlip(),))


def shortened(name: str, **changes: Any) -> Recipe:
    short = {"epochs": 2, "warmup_epochs": 0, "unmixed_epochs": 0, "patience": None}
    return replace(EXPERIMENTS[name].recipe, **{**short, "batch_size": 4, **changes})


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
    )


def counted(
    model: nn.Module, recipe: Recipe, train: ImageSet = TRAIN, **options: Any
) -> tuple[list[dict[Any, int]], list[dict[str, int]], History]:
    """Train on the stand-in; return each epoch's waits and copies, what is before in the first."""
    waits, copies = [Counter()], [Counter()]
    options = {"validation": VALIDATION, "progress": False, **options}
    with StandInGPU() as gpu:

        def note(progress: object) -> None:
            waits.append(gpu.waits.copy())
            copies.append(gpu.copies_in.copy())

        history = fit(model, train, recipe, device="cuda", callback=note, **options)
    return (
        [dict(after - before) for before, after in zip(waits, waits[1:], strict=False)],
        [dict(after - before) for before, after in zip(copies, copies[1:], strict=False)],
        history,
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_waits_four_times_per_epoch_and_trains_as_on_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    model = EXPERIMENTS[name].build_model(10)
    on_cpu, recipe = copy.deepcopy(model), shortened(name, precision="fp32", keep_best=False)
    expected = fit(on_cpu, TRAIN, recipe, validation=VALIDATION, device="cpu", progress=False)
    (_, waits), _, history = counted(model, recipe)
    assert waits == AN_EPOCH
    assert [replace(each, seconds=0) for each in history] == [
        replace(each, seconds=0) for each in expected
    ]
    wanted = on_cpu.state_dict()
    assert all(torch.equal(each, wanted[name]) for name, each in model.state_dict().items())


@pytest.mark.parametrize("images", [8, 16])
def test_the_number_of_steps_does_not_matter(images: int) -> None:
    (_, waits), (_, copies), _ = counted(small_model(), SMALL, synthetic_set(Role.TRAIN, images, 0))
    assert waits == AN_EPOCH
    assert sum(copies.values()) == 1 + images // 4  # the order, and each step's flips


def test_losses_are_read_every_fifty_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert losses.STEPS_BETWEEN_CHECKS == 50
    monkeypatch.setattr(losses, "STEPS_BETWEEN_CHECKS", 2)
    (_, waits), _, _ = counted(small_model(), SMALL)
    assert waits == {**AN_EPOCH, ("to the host", "training/losses.py"): 2}


def test_the_time_is_estimated_from_the_first_steps_alone() -> None:
    (first, second), _, _ = counted(small_model(), SMALL, progress=True)
    assert first["synchronize", "utils/devices.py"] == 4  # of at most five
    assert second == AN_EPOCH


def test_a_better_epoch_s_weights_are_copied_to_the_host() -> None:
    recipe = replace(SMALL, keep_best=True)
    (_, waits), _, history = counted(small_model(), recipe)
    better = history[1].validation_accuracy > history[0].validation_accuracy
    tensors = len(small_model().state_dict())
    copies = {("to the host", "training/state.py"): tensors} if better else {}
    assert waits == {**AN_EPOCH, **copies}


@pytest.mark.parametrize("mix", [None, MixUp()])
def test_no_transform_waits_and_images_are_the_cpu_s(mix: MixUp | None) -> None:
    transforms = (
        RandomCrop(padding_mode="reflect"),
        RandomHorizontalFlip(),
        ColorJitter(),
        RandomErasing(p=1.0, value=(0.5, 0.4, 0.3)),
        TrivialAugment(),
    )
    for transform in transforms:
        options = {"shuffle": True, "transform": transform, "mix": mix}
        expected = list(Batches(TRAIN, 8, device="cpu", **options))
        with StandInGPU() as gpu:
            batches = Batches(TRAIN, 8, device="cuda", **options)
            gpu.waits.clear()
            found = list(batches)
            assert {each.device for batch in found for each in batch} == {GPU}
        assert gpu.waits == {}, transform
        for batch, wanted in zip(found, expected, strict=True):
            assert all(map(torch.equal, batch, wanted)), transform


@pytest.mark.parametrize(
    ("settings", "per_step"),
    [
        ({"optimizer": "adam"}, {}),
        ({"optimizer": "adamw", "gradient_clip": 1.0, "ema_decay": 0.9}, {}),
        ({"optimizer": "sgd"}, {}),
        ({"optimizer": "muon", "other_learning_rate": 0.1, "momentum": 0.9}, {}),
        # PyTorch's scaler asks whether to make the step, unless the optimizer does that itself.
        (
            {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
            {("item", "training/loop.py"): 1},
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())),
)
def test_a_t4_trains_in_fp16_and_no_step_waits(
    settings: dict[str, Any], per_step: dict[Any, int]
) -> None:
    recipe = Recipe(2, 4, learning_rate=1e-3, precision="auto", channels_last=True, **settings)
    model = small_model()
    before = copy.deepcopy(model.state_dict())
    (_, waits), _, history = counted(model, recipe)
    assert waits == {**AN_EPOCH, **{kind: 4 * number for kind, number in per_step.items()}}
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert not torch.equal(model[0].weight, before["0.weight"])
    assert history[1].train_loss < 4


def test_the_announcement_names_the_gpu_s_precision(capsys: pytest.CaptureFixture[str]) -> None:
    for capability, precision in (((7, 5), "fp16"), ((8, 0), "bf16"), ((6, 0), "fp32")):
        with StandInGPU() as gpu:
            gpu.capability = capability
            fit(small_model(), TRAIN, replace(SMALL, epochs=1, precision="auto"), device="cuda")
        assert f"on cuda in {precision}" in capsys.readouterr().out


# ---- the stand-in itself


def test_the_stand_in_sees_what_a_gpu_would_wait_for() -> None:
    with StandInGPU() as gpu:
        numbers = torch.arange(4.0, device="cuda")
        assert numbers.device == (numbers * 2).device == GPU and numbers.is_cuda
        assert gpu.waits == {}
        for wait in (
            lambda: numbers.max().item(),
            lambda: bool(numbers.max() > 2),
            lambda: numbers[numbers > 1],
            lambda: (numbers > 1).nonzero(),
            lambda: numbers.cpu(),
            lambda: numbers.tolist(),
            lambda: torch.equal(numbers, numbers),
            lambda: torch.ones(4).to("cuda"),
            lambda: torch.tensor([1.0], device="cuda"),
            lambda: numbers.new_tensor([1.0]),
            lambda: torch.cuda.synchronize(),
        ):
            gpu.waits.clear()
            wait()
            assert sum(gpu.waits.values()) == 1, gpu.waits
        gpu.waits.clear()
        assert torch.ones(4).to("cuda", non_blocking=True).device == GPU
        assert gpu.waits == {} and sum(gpu.copies_in.values()) == 1


def test_the_stand_in_refuses_mixed_devices() -> None:
    with StandInGPU():
        numbers = torch.ones(4, device="cuda", requires_grad=True)
        for mix in (
            lambda: numbers + torch.ones(4),
            lambda: numbers[torch.tensor([0, 1])],
            lambda: torch.where(numbers > 0, torch.zeros(()), numbers),
            lambda: nn.functional.linear(numbers, torch.ones(2, 4)),
        ):
            with pytest.raises(RuntimeError, match="on cuda and on the CPU"):
                mix()
        with pytest.raises(RuntimeError, match="expected a generator on cuda"):
            torch.rand(3, generator=torch.Generator(), device="cuda")
        (numbers.sum() * 2).backward()
        assert numbers.grad.device == GPU
