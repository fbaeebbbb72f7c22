from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from cifar_lab.data.augment import MixUp, RandomErasing, RandomHorizontalFlip
from cifar_lab.experiments.catalog import EXPERIMENTS, Experiment
from cifar_lab.experiments.ingredients import EVERYTHING, leave_one_out
from cifar_lab.models import Normalize, SmallCIFARNet
from cifar_lab.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05)


def tiny() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))


def test_each_ingredient_of_the_recipe_is_left_out_once() -> None:
    recipe = replace(
        RECIPE,
        momentum=0.9,
        nesterov=True,
        label_smoothing=0.1,
        ema_decay=0.9,
        augment=(RandomHorizontalFlip(), RandomErasing()),
        mix=MixUp(num_classes=10),
        unmixed_epochs=1,
    )
    everything, *others = leave_one_out(Experiment("mine", "cifar10", tiny, recipe, "Mine"), 10)
    assert everything.title == EVERYTHING and everything.recipe == recipe
    changes = {
        variant.title: {
            field.name: getattr(variant.recipe, field.name)
            for field in fields(Recipe)
            if getattr(variant.recipe, field.name) != getattr(recipe, field.name)
        }
        for variant in others
    }
    assert changes == {
        "no random horizontal flip": {"augment": (RandomErasing(),)},
        "no random erasing": {"augment": (RandomHorizontalFlip(),)},
        "no momentum": {"momentum": 0.0, "nesterov": False},
        "no label smoothing": {"label_smoothing": 0.0},
        "no moving average of weights": {"ema_decay": None},
        "no mixing of images": {"mix": None, "unmixed_epochs": 0},
        "no unmixed last epochs": {"unmixed_epochs": 0},
    }
    headings = {variant.title: variant.heading for variant in others}
    assert headings["no random erasing"] == headings["no label smoothing"] == "regularisation"
    assert headings["no momentum"] == "optimizer" and everything.heading == ""


def test_of_two_equal_transforms_one_is_left_out_at_a_time() -> None:
    erasing = RandomErasing()
    recipe = replace(RECIPE, augment=(erasing, erasing))
    variants = leave_one_out(Experiment("mine", "cifar10", tiny, recipe, "Mine"), 10)
    assert [variant.recipe.augment for variant in variants[1:]] == [(erasing,), (erasing,)]


def darker(image: Tensor) -> Tensor:
    return image / 2


def test_a_custom_transform_is_called_by_its_name() -> None:
    recipe = Recipe(1, 10, "adam", 1e-3, augment=(darker, nn.Identity()))  # type: ignore[arg-type]
    own = Experiment("mine", "cifar10", tiny, recipe, "Mine")
    titles = [variant.title for variant in leave_one_out(own, 10)]
    assert titles == ["everything", "no darker", "no identity"]


def test_the_model_s_dropout_and_normalisation_are_ingredients_too() -> None:
    variants = leave_one_out(EXPERIMENTS["cifar100-smallcifarnet"], 100)
    by_title = {variant.title: variant for variant in variants}
    assert len(by_title) == len(variants) == 13
    images = torch.rand(2, 3, 32, 32)
    whole, plain = (
        by_title[EVERYTHING].build_model(),
        by_title["no input normalisation"].build_model(),
    )
    assert isinstance(whole, SmallCIFARNet) and isinstance(plain, SmallCIFARNet)
    assert not torch.allclose(whole.normalize(images), images)
    assert torch.equal(plain.normalize(images), images)
    dry = by_title["no dropout"].build_model()
    rates = [module.p for module in dry.modules() if isinstance(module, nn.Dropout2d)]
    assert rates == [0.0] * 6
    assert any(isinstance(module, Normalize) and module.mean.any() for module in dry.modules())
