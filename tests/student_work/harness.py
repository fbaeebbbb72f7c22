"""What the gallery's tests share: few images, networks after two epochs, plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from small import RECIPE, synthetic_set
from torch import Tensor, nn

import cifar_lab
from cifar_lab.data.image_set import Role
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.training.loop import fit
from cifar_lab.utils.seeding import derive_seed

from .gallery import NETWORKS

CHANNELS_LAST = replace(RECIPE, channels_last=True)  # as the assignments' recipes have it
# In batches of 16, one image is left over.
TRAIN, TEST = synthetic_set(Role.TRAIN, 33, seed=0), synthetic_set(Role.TEST, 30, seed=1)
TEST_IMAGES = TEST.images.contiguous().float() / 255


def built(style: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return NETWORKS[style].build()


@lru_cache
def fitted(style: str) -> tuple[nn.Module, list[float]]:
    """The network after two epochs, and their losses."""
    model = built(style)
    history = fit(model, TRAIN, RECIPE, progress=False)
    return model, [record.train_loss for record in history]


def plain_logits(model: nn.Module, images: Tensor) -> Tensor:
    """In eval mode, of contiguous images that are its own."""
    was_training = model.training
    with torch.no_grad():
        logits = model.eval()(images.clone())
    model.train(was_training)
    return logits


class Interrupted(Exception):  # noqa: N818
    """Ends a run after an epoch."""


def interrupt(record: object) -> None:
    raise Interrupted


def assert_same_state(found_in: nn.Module, expected_in: nn.Module) -> None:
    expected, found = expected_in.state_dict(), found_in.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def losses_of_run(name: str, model: str | Callable[[], nn.Module], **changes: Any) -> list[float]:
    """Of the library's experiment on few images, with that model."""
    recipe = replace(EXPERIMENTS[name].recipe, epochs=2, batch_size=16, **changes)
    experiment = replace(
        EXPERIMENTS[name], model=model, recipe=recipe, dataset="synthetic", validation_fraction=0
    )
    data = cifar_lab.Data("synthetic", TRAIN, TEST)
    result = cifar_lab.run(experiment, data=data, out=None, progress=False)
    return [record.train_loss for record in result.history]


def losses_of_a_plain_loop(style: str) -> list[float]:
    """Of the epochs of `fitted`, by a loop that anybody would write, on the same batches."""
    model = built(style)
    batches = cifar_lab.Batches(TRAIN, RECIPE.batch_size, shuffle=True, device="cpu")
    plain_logits(model, torch.zeros(2, 3, 32, 32))  # lazy layers get their sizes
    optimizer = torch.optim.Adam(model.parameters(), lr=RECIPE.learning_rate, fused=True)
    losses = []
    for epoch in range(RECIPE.epochs):
        torch.manual_seed(derive_seed(0, epoch, "dropout"))
        batches.epoch = epoch
        model.train()
        of_batches = []
        for images, labels in batches:
            outputs = model(images)
            outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
            first, *further = (F.cross_entropy(output, labels) for output in outputs)
            loss = first + 0.3 * sum(further)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            of_batches.append(loss.item())
        losses.append(fmean(of_batches))
    return losses


def losses_of_own_loop(build: Callable[[], nn.Module]) -> list[float]:
    """By a loop of one's own, without the library."""
    torch.manual_seed(0)
    model = build()
    torch.manual_seed(1)  # building draws as many numbers as there are weights
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images, labels = TRAIN.images.contiguous().float() / 255, TRAIN.labels
    losses = []
    for _ in range(3):
        for part in torch.randperm(len(images)).split(11):
            loss = F.cross_entropy(model(images[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses
