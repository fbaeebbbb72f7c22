"""A training step on the meta device, which has no numbers: nothing in it may ask for one.

There `.item()`, `bool(tensor)`, `.cpu()` and `nonzero` raise, as do most operations that mix
devices; `NothingMixed` refuses the others. A GPU would wait where the meta device raises.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cifar_lab.data.augment import (
    ColorJitter,
    Compose,
    CutMix,
    MixUp,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    TrivialAugment,
)
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet
from cifar_lab.evaluation import predict
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.models import build_model
from cifar_lab.models.forward import check_logits
from cifar_lab.models.layout import Layout
from cifar_lab.training import loop
from cifar_lab.training.acceleration import Acceleration
from cifar_lab.training.losses import Losses
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.schedule import learning_rate_at
from cifar_lab.training.state import TrainingState

META = torch.device("meta")
MOVES = ("aten::_to_copy", "aten::copy_")


class NothingMixed(TorchDispatchMode):
    """Refuses operations on tensors of the meta device and of the CPU, other than copies to it."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        kinds = {each.device.type for each in tensors}
        if len(kinds) > 1 and func._schema.name not in MOVES:
            raise RuntimeError(f"{func} mixes devices: {[each.device.type for each in tensors]}")
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def only_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out what an epoch does once, which `test_rehearsal_epochs.py` counts."""

    class CheckWithoutReading:
        def __init__(self, num_classes: int | None) -> None:
            self.num_classes = num_classes

        def __call__(self, logits: Tensor, labels: Tensor) -> None:
            check_logits(logits, labels, self.num_classes)

    monkeypatch.setattr(loop, "LogitsCheck", CheckWithoutReading)
    monkeypatch.setattr(Losses, "_check", lambda self: self._read.append(0.0))
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())  # none on meta
    with NothingMixed():
        yield


def on_meta(train: ImageSet, **options: Any) -> Batches:
    """Return batches of images of the meta device, as `Batches` makes them of a GPU's."""
    batches = Batches(train, 25, shuffle=True, device="cpu", **options)
    batches.device, batches.dataset = META, copy.copy(batches.dataset)
    for name in ("images", "labels"):
        there = getattr(batches.dataset, name).to(META)
        object.__setattr__(batches.dataset, name, there)  # `replace` would look at the labels
    return batches


def train_an_epoch(model: nn.Module, batches: Batches, recipe: Recipe) -> TrainingState:
    model.to(META)
    state = TrainingState(model, recipe, "fp32")
    with Acceleration(Layout.CHANNELS_LAST, sequences=True).within(model):
        loop.train_epoch(
            model,
            batches,
            state.optimizer,
            nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
            gradient_clip=recipe.gradient_clip,
            after_step=lambda step: state.after_step(learning_rate_at(recipe, step / 2)),
        )
    return state


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_step_of_an_experiment_waits_or_mixes_devices(name: str, train: ImageSet) -> None:
    experiment = EXPERIMENTS[name]
    recipe = experiment.recipe
    batches = on_meta(train, transform=Compose(recipe.augment), mix=recipe.mix)
    state = train_an_epoch(experiment.build_model(10), batches, recipe)
    values = [*state.model.parameters(), *state.model.buffers()]
    values += [] if state.average is None else list(state.average.values.values())
    assert {each.device for each in values} == {META}
    with state.evaluated() as model:
        model(next(iter(batches))[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        {"optimizer": "adam", "weight_decay": 5e-4},
        {"optimizer": "adamw", "weight_decay": 5e-4, "bias_learning_rate": 1.0},
        {"optimizer": "muon", "other_learning_rate": 0.1, "momentum": 0.9},
        {"optimizer": "adam", "schedule": "cosine", "warmup_epochs": 1, "schedule_per": "epoch"},
        {"optimizer": "adam", "schedule": "one-cycle"},
        {"optimizer": "adam", "gradient_clip": 1.0},
        {"optimizer": "adam", "ema_decay": 0.9},
        {"optimizer": "adam", "label_smoothing": 0.1},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_no_part_of_a_recipe_waits(settings: dict[str, Any], train: ImageSet) -> None:
    recipe = Recipe(epochs=3, batch_size=16, learning_rate=0.1, **settings)
    train_an_epoch(build_model("resnet-small"), on_meta(train), recipe)


@pytest.mark.parametrize(
    "transform",
    [
        RandomCrop(),
        RandomCrop(padding_mode="reflect"),
        RandomHorizontalFlip(),
        ColorJitter(),
        RandomErasing(p=1.0, value=(0.5, 0.4, 0.3)),
        TrivialAugment(),
    ],
    ids=repr,
)
def test_no_transform_waits(transform: Any, train: ImageSet) -> None:
    for images, labels in on_meta(train, transform=transform):
        assert images.device == labels.device == META and images.is_contiguous()


@pytest.mark.parametrize("mix", [CutMix(), MixUp()], ids=repr)
def test_no_mixing_waits(mix: Any, train: ImageSet) -> None:
    for images, labels in on_meta(train, mix=mix):
        assert images.device == labels.device == META and labels.shape == (len(images), 10)


@pytest.mark.parametrize("name", ["cifar100-smallcifarnet", "cifar100-frontier"])
def test_evaluation_waits_for_its_result_alone(
    name: str, train: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[torch.Size] = []
    monkeypatch.setattr(Tensor, "cpu", lambda tensor: read.append(tensor.shape) or tensor)
    logits, labels = predict(EXPERIMENTS[name].build_model(10).to(META), on_meta(train))
    assert read == [logits.shape, labels.shape] == [(50, 10), (50,)]


# ---- the rehearsal itself


def test_what_would_wait_is_seen(train: ImageSet) -> None:
    class Reading(nn.Module):
        def __init__(self, read: Any) -> None:
            super().__init__()
            self.head, self.read = nn.Linear(3072, 10), read

        def forward(self, images: Tensor) -> Tensor:
            self.read(images)
            return self.head(images.flatten(1))

    recipe = Recipe(1, 16, "sgd", 0.1)
    for read in (
        lambda images: images.max().item(),
        lambda images: bool((images > 2).any()),
        lambda images: images[images > 0.5],
        lambda images: images.cpu(),
        lambda images: images[torch.arange(4)],
        lambda images: images + torch.ones(32),
        lambda images: torch.conv2d(images, torch.ones(1, 3, 1, 1)),
    ):
        with pytest.raises((ValueError, RuntimeError), match="(?i)meta|mixes devices"):
            train_an_epoch(Reading(read), on_meta(train), recipe)
    replaced = replace(recipe, epochs=1)
    train_an_epoch(Reading(lambda images: None), on_meta(train), replaced)
