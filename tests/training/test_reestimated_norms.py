from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from cifar_lab.data.augment import CutMix, RandomErasing
from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.models import SmallCIFARNet
from cifar_lab.training import batch_norm
from cifar_lab.training.batch_norm import reestimate_norms
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.seeding import generator


def two_norms(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout2d(0.5),
        nn.Conv2d(4, 5, 3, stride=2),
        nn.BatchNorm2d(5),
        nn.Flatten(),
        nn.Linear(5 * 9, 10),
    )


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel (of the sample), in double precision."""
    places = values.double().transpose(0, 1).flatten(1)
    return places.mean(dim=1), places.var(dim=1)


@torch.no_grad()
def by_hand(model: nn.Sequential, batches: list[Tensor]) -> list[Tensor]:
    """Both norms' running means and variances: of each batch, then the mean over batches."""
    found = []
    for images in batches:
        first = model[0](images)
        mean, variance = moments(first)
        centred = first - mean.float().view(1, -1, 1, 1)
        spread = first.double().transpose(0, 1).flatten(1).var(dim=1, correction=0) + model[1].eps
        scaled = centred * (model[1].weight / spread.float().sqrt()).view(1, -1, 1, 1)
        second = model[4]((scaled + model[1].bias.view(1, -1, 1, 1)).clamp(min=0))
        found.append([mean, variance, *moments(second)])
    return [torch.stack(each).mean(dim=0).float() for each in zip(*found, strict=True)]


def statistics(model: nn.Sequential) -> list[Tensor]:
    return [statistic for norm in (model[1], model[5]) for statistic in list(norm.buffers())[:2]]


@pytest.mark.parametrize(("largest", "sizes"), [(500, [50]), (20, [17, 17, 16]), (49, [25, 25])])
def test_statistics_are_those_of_the_images_computed_by_hand(
    train: ImageSet, monkeypatch: pytest.MonkeyPatch, largest: int, sizes: list[int]
) -> None:
    """Also the last batch is about as large as the others, since each counts the same."""
    monkeypatch.setattr(batch_norm, "LARGEST_BATCH", largest)
    model = two_norms()
    nn.init.normal_(model[1].weight)
    nn.init.normal_(model[1].bias)
    reestimate_norms(model, train, seed=4)
    order = torch.randperm(50, generator=generator(4, 0, "order"))
    images = to_unit_interval(train.images[order])
    expected = by_hand(model, list(images.split(sizes)))
    torch.testing.assert_close(statistics(model), expected)


@pytest.mark.parametrize("training", [True, False])
def test_all_but_the_statistics_stays_as_it_was(train: ImageSet, training: bool) -> None:
    model = two_norms().train(training)
    model[3].eval()
    before = copy.deepcopy(model)
    torch.manual_seed(0)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    reestimate_norms(model, train)
    assert torch.equal(torch.rand(1), drawn)
    assert [each.training for each in model.modules()] == [
        each.training for each in before.modules()
    ]
    assert model[1].momentum == before[1].momentum
    for mine, other in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_model_that_draws_by_itself_gets_the_same_statistics_again(train: ImageSet) -> None:
    class Drawing(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(functional.dropout(images, training=self.training))

    results = []
    for seed in (0, 0, 1):
        model = Drawing(*two_norms())
        torch.rand(len(results) + 1)
        reestimate_norms(model, train, seed=seed)
        results.append(statistics(model))
    assert all(map(torch.equal, results[0], results[1]))
    assert not torch.equal(results[0][0], results[2][0])


def test_a_norm_behind_a_pointwise_convolution_gets_its_statistics(train: ImageSet) -> None:
    torch.manual_seed(0)
    model = SmallCIFARNet(num_classes=10)
    depthwise, pointwise, norm = model.features[0].layers[:3]
    reestimate_norms(model, train)
    with torch.no_grad():
        features = pointwise(depthwise(model.normalize(to_unit_interval(train.images))))
    mean, variance = moments(features)
    torch.testing.assert_close(norm.running_mean, mean.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance.float(), rtol=1e-4, atol=1e-5)


def test_a_model_without_batch_norm_stays_as_it_is(train: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)).eval()
    before = copy.deepcopy(model.state_dict())
    reestimate_norms(model, train)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert not model.training


RECIPE = Recipe(
    epochs=2,
    batch_size=16,
    optimizer="sgd",
    learning_rate=0.05,
    augment=(RandomErasing(p=1.0, value=1.0),),
    mix=CutMix(num_classes=10),
    reestimate_norms=True,
)


@pytest.mark.parametrize(
    "fields", [{}, {"ema_decay": 0.9}, {"ema_decay": 0.9, "keep_best": True}, {"unmixed_epochs": 2}]
)
def test_training_ends_with_its_weights_and_statistics_of_plain_images(
    train: ImageSet, fields: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, **fields)
    options: dict[str, Any] = {"validation": train, "device": "cpu", "progress": False}
    model, without = two_norms(), two_norms()
    history = fit(model, train, recipe, **options)
    assert len(history) == 2
    fit(without, train, replace(recipe, reestimate_norms=False), **options)
    for mine, other in zip(model.parameters(), without.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert not torch.equal(model[1].running_mean, without[1].running_mean)
    expected = by_hand(model, [to_unit_interval(train.images)])
    torch.testing.assert_close(statistics(model), expected)


@pytest.mark.parametrize(
    "as_loader",
    [
        lambda images: Batches(images, 16, device="cpu"),
        lambda images: DataLoader(images, 16),
    ],
)
def test_a_loader_s_images_are_refused_since_they_may_be_augmented(
    train: ImageSet, as_loader: Any
) -> None:
    recipe = replace(RECIPE, augment=(), mix=None)
    with pytest.raises(ValueError, match="reestimate_norms needs an ImageSet"):
        fit(two_norms(), as_loader(train), recipe, device="cpu", progress=False)
