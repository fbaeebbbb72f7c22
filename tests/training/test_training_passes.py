"""Training makes the passes that it is asked for, and no others that anybody could notice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset
from tqdm import tqdm

from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet
from cifar_lab.training.loop import fit, train_epoch
from cifar_lab.training.optimizers import build_optimizer
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.errors import LeakedTestImagesError
from cifar_lab.utils.seeding import derive_seed, seed_generators


class Drawing(nn.Module):
    """It counts, keeps, and draws from every generator that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=4)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 * 8 * 8, 10)
        self.count = 0
        self.kept: list[int] = []
        self.own = (torch.Generator(), np.random.default_rng(0), random.Random(0))

    def forward(self, images: Tensor) -> Tensor:
        self.count += 1
        self.kept.append(len(images))
        of_torch, of_numpy, of_python = self.own
        scale = torch.rand(1, generator=of_torch).item() + of_numpy.random() + of_python.random()
        scale += random.random() + np.random.rand() + len(self.kept)
        x = functional.relu(self.norm(self.convolution(images)))
        x = functional.dropout(x.view(len(x), -1), training=self.training)
        return self.head(x * scale)


def drawing() -> Drawing:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    return Drawing()


def losses_by_hand(model: nn.Module, loader: Any, recipe: Recipe) -> list[list[float]]:
    optimizer = build_optimizer(recipe, model)
    losses: list[list[float]] = []
    model.train()
    for epoch in range(recipe.epochs):
        seed_generators(derive_seed(0, epoch, "dropout"))
        losses.append([])
        for images, labels in loader:
            loss = functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    return losses


def assert_trains_as_by_hand(train: Any, loader: Any, recipe: Recipe) -> None:
    model = drawing()
    history = fit(model, train, recipe, device="cpu")
    twin = drawing()
    losses = losses_by_hand(twin, loader, recipe)
    assert [record.train_loss for record in history] == [fmean(each) for each in losses]
    for mine, by_hand in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, by_hand)
    assert (model.count, model.kept) == (twin.count, twin.kept)


def test_a_network_that_draws_trains_as_by_hand_to_the_bit(train: ImageSet, recipe: Recipe) -> None:
    loader = Batches(train, recipe.batch_size, shuffle=True, device="cpu")
    assert_trains_as_by_hand(train, loader, recipe)


class Changed(Dataset[tuple[Tensor, int]]):
    """Images with random changes that draw from Python's and numpy's generators."""

    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.images[index]
        return image * (random.random() + np.random.rand()), label


def test_a_dataset_that_draws_is_read_as_by_hand(train: ImageSet, recipe: Recipe) -> None:
    loader = DataLoader(Changed(train), batch_size=16)
    assert_trains_as_by_hand(loader, loader, recipe)


@pytest.mark.parametrize("channels_last", [False, True])
def test_hooks_see_each_batch_once(train: ImageSet, recipe: Recipe, channels_last: bool) -> None:
    model, seen = Drawing(), []
    model.head.register_forward_hook(lambda layer, inputs, outputs: seen.append(len(outputs)))
    fit(model, train, replace(recipe, channels_last=channels_last), progress=True)
    assert sum(seen) == recipe.epochs * len(train)


def test_the_attempt_at_another_layout_is_forgotten(train: ImageSet, recipe: Recipe) -> None:
    model = drawing()
    fit(model, train, replace(recipe, channels_last=True), progress=False)
    batches = [16, 16, 16, 2]
    assert (model.count, model.kept) == (2 * len(batches), 2 * batches)


# ---- a batch of one image


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.norm = nn.Linear(3072, 8), nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.norm(self.hidden(images.flatten(1))))


class Stream(IterableDataset[tuple[Tensor, int]]):
    def __init__(self, images: ImageSet) -> None:
        self.images = images

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (self.images[number] for number in range(len(self.images)))


def test_a_batch_of_one_image_is_refused_before_training(train: ImageSet, recipe: Recipe) -> None:
    single = [(torch.rand(count, 3, 32, 32), torch.zeros(count).long()) for count in (4, 1)]
    for loader in (DataLoader(train, batch_size=7), single):
        model = Normed()
        with pytest.raises(ValueError, match="single image.* drop_last=True"):
            fit(model, loader, recipe, progress=False)
        assert model.norm.num_batches_tracked == 0
    with pytest.raises(ValueError, match="single image.* another batch size"):
        fit(Normed(), train, replace(recipe, batch_size=1), progress=False)
    with pytest.raises(ValueError, match="single image.* drop_last=True"):
        fit(Normed(), DataLoader(Stream(train), batch_size=7), recipe, progress=False)


def test_a_batch_of_one_image_is_taken_where_it_can_be(train: ImageSet, recipe: Recipe) -> None:
    fit(Normed(), train, replace(recipe, batch_size=7), progress=False)
    fit(Normed(), DataLoader(train, batch_size=7, drop_last=True), recipe, progress=False)
    fit(Drawing(), DataLoader(train, batch_size=7), recipe, progress=False)


# ---- loaders and parameters of other kinds


def test_test_images_behind_a_progress_bar_are_refused(test: ImageSet) -> None:
    model = Drawing()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for loader in (Batches(test, 16, device="cpu"), DataLoader(test, batch_size=16)):
        with pytest.raises(LeakedTestImagesError):
            train_epoch(model, tqdm(loader, disable=True), optimizer, nn.CrossEntropyLoss())


def test_complex_parameters_are_trained(train: ImageSet, recipe: Recipe) -> None:
    class Complex(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3072, 10, dtype=torch.cfloat))

        def forward(self, images: Tensor) -> Tensor:
            return (images.flatten(1).to(torch.cfloat) @ self.weight).abs()

    model = Complex()
    before = model.weight.detach().clone()
    fit(model, train, replace(recipe, ema_decay=0.9), progress=False)
    assert not torch.equal(model.weight, before)
