"""What only a GPU shows: `pytest -m gpu`, which `.ci/gpu` runs together with the measurements.

`test_rehearsal_*.py` say beforehand, without one, what is expected of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small import synthetic_set
from torch import nn

from cifar_lab.data.augment import (
    ColorJitter,
    Compose,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
)
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import Role
from cifar_lab.evaluation import predict
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.models import build_model
from cifar_lab.models.layout import Layout, convolutions
from cifar_lab.training.acceleration import find_acceleration
from cifar_lab.training.data_checks import first_batch
from cifar_lab.training.loop import fit
from cifar_lab.training.precision import resolve_precision
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.setup import Setup
from cifar_lab.training.whitening import compute_whitening
from cifar_lab.utils.seeding import seed_everything

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda")
TRAIN, VALIDATION = synthetic_set(Role.TRAIN, 64, 0), synthetic_set(Role.VALIDATION, 32, 1)


@pytest.fixture(autouse=True)
def waiting_is_allowed_again() -> Iterator[None]:
    seed_everything(0)
    yield
    torch.cuda.set_sync_debug_mode("default")


def shortened(name: str, **changes: Any) -> Recipe:
    short = {"epochs": 1, "warmup_epochs": 0, "unmixed_epochs": 0, "patience": None}
    return replace(EXPERIMENTS[name].recipe, **{**short, "batch_size": 16, **changes})


@pytest.mark.parametrize("precision", ["auto", "fp32"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_step_of_an_experiment_makes_the_host_wait(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch raises for a wait in the steps between the first and the last."""
    after_step = Setup.after_step

    def watched(setup: Setup, step: int) -> None:
        after_step(setup, step)
        torch.cuda.set_sync_debug_mode("error" if step < setup.steps - 1 else "default")

    monkeypatch.setattr(Setup, "after_step", watched)
    model = EXPERIMENTS[name].build_model(10)
    recipe = shortened(name, precision=precision)
    fit(model, TRAIN, recipe, validation=VALIDATION, device=GPU, progress=False)
    assert all(each.isfinite().all() for each in model.state_dict().values())


def test_waiting_is_seen() -> None:
    numbers = torch.ones(3, device=GPU)
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchroniz"):
        numbers.sum().item()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_computes_channels_last(name: str) -> None:
    experiment = EXPERIMENTS[name]
    model, recipe = experiment.build_model(10).to(GPU), experiment.recipe
    images = first_batch(Batches(TRAIN, recipe.batch_size, device=GPU), GPU)[0]
    layout = find_acceleration(recipe, model, images).layout
    assert layout is (Layout.CHANNELS_LAST if convolutions(model) else Layout.PLAIN)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "learning_rate": 3e-3, "gradient_clip": 1.0, "ema_decay": 0.9},
        {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
        {"optimizer": "muon", "learning_rate": 0.05, "other_learning_rate": 0.1, "momentum": 0.85},
    ],
    ids=lambda settings: settings["optimizer"],
)
def test_an_interrupted_run_ends_as_a_whole_one(
    precision: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    if precision == "bf16" and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no bf16 in hardware")
    options = {"precision": precision, "channels_last": True, **settings}
    recipe = Recipe(4, 16, augment=(RandomCrop(), RandomHorizontalFlip()), **options)

    class StopError(Exception):
        pass

    def stop(record: Any) -> None:
        if record.epoch == 2:
            raise StopError

    def run(seed: int, **options: Any) -> tuple[nn.Module, Any]:
        torch.manual_seed(seed)
        model = build_model("resnet-small")
        return model, fit(model, TRAIN, recipe, device=GPU, progress=False, **options)

    expected, history = run(0)
    path = tmp_path / "run.pt"
    with pytest.raises(StopError):
        run(0, checkpoint=path, on_epoch=stop)
    scale = torch.load(path, weights_only=True)["state"]["scaler"].get("scale")
    assert (scale is None) == (precision != "fp16")
    resumed, later = run(9, checkpoint=path, resume=True)
    assert [record.epoch for record in later] == [1, 2, 3, 4]
    assert later[1].train_loss == pytest.approx(history[1].train_loss, rel=1e-2)
    for found, wanted in zip(resumed.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-2)
    assert history[-1].train_loss < history[0].train_loss


def test_auto_is_what_the_card_has_in_hardware() -> None:
    capability = torch.cuda.get_device_capability()
    expected = "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
    assert resolve_precision("auto", GPU) == expected


def test_batches_are_the_cpu_s() -> None:
    transform = Compose((RandomCrop(), RandomHorizontalFlip(), ColorJitter(), RandomErasing(0.9)))
    on_gpu, on_cpu = (
        list(Batches(TRAIN, 16, shuffle=True, transform=transform, device=device))
        for device in ("cuda", "cpu")
    )
    for (images, labels), (expected, expected_labels) in zip(on_gpu, on_cpu, strict=True):
        assert images.is_cuda and torch.equal(labels.cpu(), expected_labels)
        torch.testing.assert_close(images.cpu(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["smallcifarnet", "frontier-100"])
def test_logits_and_whitening_are_the_cpu_s(name: str) -> None:
    model = build_model(name, 10)
    there = copy.deepcopy(model).to(GPU)
    for each in (model, there):
        compute_whitening(each, TRAIN)
    expected, found = predict(model, VALIDATION)[0], predict(there, VALIDATION)[0]
    # Convolutions on newer GPUs round to TF32.
    assert (found - expected).abs().max() < 1e-2 * expected.abs().max()
