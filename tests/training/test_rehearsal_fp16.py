"""Training in fp16 with PyTorch's gradient scaler, on the CPU, which a T4 does in the same way.

`fit` refuses fp16 on a CPU, where it gains nothing; these tests allow it. The numbers are a CPU's:
its fp16 overflows and rounds as a GPU's does, but sums in another order.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.data.augment import CutMix, RandomHorizontalFlip
from cifar_lab.data.image_set import ImageSet
from cifar_lab.training import prepare as preparing
from cifar_lab.training.checkpoint import saved_precision
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.optimizers import build_optimizer, lay_out_averages
from cifar_lab.training.precision import resolve_precision
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at

MUON = {"optimizer": "muon", "other_learning_rate": 0.1, "momentum": 0.85}
OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer": "adam", "weight_decay": 5e-4},
    {"optimizer": "adamw", "weight_decay": 5e-4},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    MUON,
]
every_optimizer = pytest.mark.parametrize(
    "settings", OPTIMIZERS, ids=lambda settings: "-".join(map(str, settings.values()))
)
OVERFLOWING, ENOUGH = 2.0**40, 2.0**10  # scales of the loss
# One that overflows at the first step, and at no other.
overflowing_once = partial(
    torch.amp.GradScaler, init_scale=OVERFLOWING, backoff_factor=ENOUGH / OVERFLOWING
)


@pytest.fixture(autouse=True)
def fp16_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "resolve_precision", lambda precision, device: "fp16")


def small_model(seed: int = 0, *, norm: bool = True) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4, bias=not norm),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


def some_batches(count: int) -> list[tuple[Tensor, Tensor]]:
    drawn = torch.Generator().manual_seed(0)
    return [
        (torch.rand(8, 3, 32, 32, generator=drawn), torch.randint(10, (8,), generator=drawn))
        for _ in range(count)
    ]


def trained(
    settings: dict[str, Any],
    batches: list[tuple[Tensor, Tensor]],
    scaler: torch.amp.GradScaler,
    *,
    clip: float | None = None,
    overflow_at: int = 0,
) -> tuple[list[Any], list[Any]]:
    """Train without norms; return the weights and the optimizer's state after each step."""
    model = small_model(norm=False)
    optimizer = build_optimizer(Recipe(1, 8, learning_rate=0.05, **settings), model, scaled=True)
    weights: list[Any] = []
    states: list[Any] = []

    def look(step: int) -> None:
        weights.append(copy.deepcopy(model.state_dict()))
        states.append(copy.deepcopy(optimizer.state_dict()["state"]))

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        # The loss is computed in float32; its gradient in fp16 is what becomes infinite.
        factor = 1e30 if len(weights) == overflow_at - 1 else 1.0
        return factor * nn.functional.cross_entropy(logits, labels)

    options = {"precision": "fp16", "scaler": scaler, "gradient_clip": clip, "after_step": look}
    train_epoch(model, batches, optimizer, loss, **options)
    return weights, states


def assert_same(found: Any, wanted: Any) -> None:
    """Compare nested dicts of tensors, to the bit."""
    if isinstance(found, dict):
        assert found.keys() == wanted.keys()
        for name, value in found.items():
            assert_same(value, wanted[name])
    else:
        assert torch.equal(found, wanted) if torch.is_tensor(found) else found == wanted


@every_optimizer
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_first_step_that_overflows_is_as_if_it_had_not_been(
    settings: dict[str, Any], clip: float | None
) -> None:
    batches = some_batches(4)
    scaler = overflowing_once("cpu")
    weights, states = trained(settings, batches, scaler, clip=clip)
    assert scaler.get_scale() == ENOUGH
    assert_same(weights[0], small_model(norm=False).state_dict())
    assert not torch.equal(weights[1]["0.weight"], weights[0]["0.weight"])

    without = torch.amp.GradScaler("cpu", init_scale=ENOUGH)
    expected = trained(settings, batches[1:], without, clip=clip)
    for found, wanted in zip((weights[1:], states[1:]), expected, strict=True):
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)


@every_optimizer
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_later_step_that_overflows_changes_neither_weights_nor_averages(
    settings: dict[str, Any], clip: float | None
) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=ENOUGH)
    weights, states = trained(settings, some_batches(3), scaler, clip=clip, overflow_at=2)
    assert scaler.get_scale() == ENOUGH / 2
    assert_same(weights[1], weights[0])
    assert_same(states[1], states[0])
    assert not torch.equal(weights[2]["0.weight"], weights[1]["0.weight"])
    assert all(value.isfinite().all() for value in weights[2].values())


def test_muon_steps_with_a_scaler_as_without_one() -> None:
    """The scaler leaves its unscaling and skipping to Muon, which has to do both itself."""
    results = []
    for enabled in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))
        optimizer = build_optimizer(Recipe(1, 8, learning_rate=0.05, **MUON), model, scaled=enabled)
        scaler = torch.amp.GradScaler("cpu", init_scale=ENOUGH, enabled=enabled)
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.rand(4, 3, 8, 8)).logsumexp(dim=1).mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        results.append(model.state_dict())
    assert_same(*results)


# ---- in `fit`


def run(train: ImageSet, recipe: Recipe, seed: int = 0, **options: Any) -> tuple[nn.Module, Any]:
    model = small_model(seed)
    return model, fit(model, train, recipe, device="cpu", progress=False, **options)


def test_the_schedule_and_the_average_go_on_while_a_step_is_skipped(
    train: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.amp, "GradScaler", overflowing_once)
    decay = 0.75
    recipe = Recipe(2, 25, "adamw", 3e-3, schedule="cosine", schedule_per="step", ema_decay=decay)
    kept: list[Tensor] = []
    model, history = run(
        train, recipe, callback=lambda progress: kept.append(progress.model[4].weight.clone())
    )
    # Two steps per epoch, and the first of them is skipped: the average has begun as the model did.
    assert history[0].learning_rate == learning_rate_at(recipe, 0.5)
    assert history[1].learning_rate == learning_rate_at(recipe, 1.5)
    first = small_model()[4].weight
    weights: list[Tensor] = [first.detach(), kept[0]]
    average = torch.lerp(weights[0], weights[1], 1 - decay)
    one_epoch, _ = run(train, recipe, callback=lambda progress: True)
    torch.testing.assert_close(one_epoch[4].weight.detach(), average)
    assert not torch.equal(kept[0], first)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(4, 16, "adamw", 3e-3, weight_decay=5e-4, gradient_clip=1.0, ema_decay=0.9),
        Recipe(4, 16, "sgd", 0.05, momentum=0.9, nesterov=True),
        Recipe(4, 16, learning_rate=0.05, schedule="cosine", ema_decay=0.9, mix=CutMix(), **MUON),
    ],
    ids=lambda recipe: recipe.optimizer,
)
def test_a_resumed_run_has_the_scaler_s_state_and_ends_the_same(
    recipe: Recipe, train: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(recipe, augment=(RandomHorizontalFlip(),), channels_last=True)
    # It overflows at first, and grows every three steps, so an epoch ends between two growths.
    growing = partial(overflowing_once, growth_interval=3)
    monkeypatch.setattr(torch.amp, "GradScaler", growing)
    expected, history = run(train, recipe)
    path = tmp_path / "run.pt"

    class StopError(Exception):
        pass

    def stop(record: Any) -> None:
        if record.epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        run(train, recipe, checkpoint=path, on_epoch=stop)
    saved = torch.load(path, weights_only=True)["state"]["scaler"]
    # Eight steps: one skipped, then seven.
    assert saved["scale"] == ENOUGH * 2**2 and saved["_growth_tracker"] == 1
    resumed, later = run(train, recipe, seed=9, checkpoint=path, resume=True)
    assert_same(resumed.state_dict(), expected.state_dict())
    assert [replace(each, seconds=0) for each in later] == [
        replace(each, seconds=0) for each in history
    ]
    assert history[-1].train_loss < history[0].train_loss


def test_a_run_that_began_in_fp16_goes_on_without_a_gpu_and_back(
    train: ImageSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = Recipe(1, 25, "adamw", 3e-3, precision="auto")
    path = tmp_path / "run.pt"
    run(train, recipe, checkpoint=path)
    assert saved_precision(path) == "fp16"

    monkeypatch.setattr(preparing, "resolve_precision", resolve_precision)  # of this CPU, again
    here = resolve_precision("auto", torch.device("cpu"))
    run(train, recipe.with_epochs(2), checkpoint=path, resume=True)
    shown = capsys.readouterr().out
    assert f"Resuming in {here}: this cpu can't train in fp16, as it began." in shown
    assert saved_precision(path) == "fp16"

    monkeypatch.setattr(preparing, "resolve_precision", lambda precision, device: "fp16")
    _, history = run(train, recipe.with_epochs(3), checkpoint=path, resume=True)
    assert len(history) == 3 and "Resuming" not in capsys.readouterr().out


# ---- what fused optimizers take for granted


def test_a_scaled_sgd_with_momentum_is_not_fused() -> None:
    def fused(**settings: Any) -> bool:
        recipe = Recipe(1, 8, "sgd", 0.1, momentum=settings.pop("momentum", 0.0))
        return bool(build_optimizer(recipe, small_model(), **settings).defaults["fused"])

    assert fused() and fused(momentum=0.9) and fused(scaled=True)
    assert not fused(momentum=0.9, scaled=True)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_averages_in_another_memory_layout_are_laid_out_as_the_weights(name: str) -> None:
    """As those of a run that is resumed in another layout; fused, they would be mixed up."""
    results = []
    for convert in (False, True):
        model = nn.Conv2d(3, 4, 3)
        with torch.no_grad():
            model.weight.copy_(torch.linspace(-1, 1, 108).view(4, 3, 3, 3))
        model = model.to(memory_format=torch.channels_last)
        recipe = Recipe(1, 8, name, 0.1, momentum=0.9 if name == "sgd" else 0.0)
        optimizer = build_optimizer(recipe, model)
        drawn = torch.Generator().manual_seed(0)
        for _ in range(3):
            for parameter in model.parameters():
                gradient = torch.randn(parameter.shape, generator=drawn)
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
            optimizer.step()
            if convert:
                for state in optimizer.state.values():
                    state.update({name: each.contiguous() for name, each in state.items()})
                lay_out_averages(optimizer)
        assert all(
            each.stride() == model.weight.stride()
            for each in optimizer.state[model.weight].values()
            if each.ndim
        )
        results.append(model.weight.detach())
    assert torch.equal(*results)
