from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cifar_lab.data.augment import MixUp, RandomErasing, RandomHorizontalFlip
from cifar_lab.data.image_set import Data, ImageSet, split
from cifar_lab.experiments.ablation import (
    EVERYTHING,
    Trial,
    Variant,
    ablation_table,
    leave_one_out,
    try_variants,
)
from cifar_lab.experiments.catalog import EXPERIMENTS, Experiment
from cifar_lab.models import Normalize, SmallCIFARNet
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord
from cifar_lab.utils.errors import LeakedTestImagesError

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05)


def tiny() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 10))


def deep() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 20), nn.Linear(20, 10))


def trial(title: str, accuracy: float, images: int = 5000) -> Trial:
    return Trial(title, "", "cifar100", RECIPE, [EpochRecord(1, 3.5, accuracy, None, 1.0)], images)


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


@pytest.mark.parametrize("count", [0, 2])
def test_variants_need_titles_of_their_own(data: Data, tmp_path: Path, count: int) -> None:
    train, validation = split(data.train, 0.2, seed=0)
    variants = [Variant("mine", tiny, RECIPE)] * count
    with pytest.raises(ValueError, match="expected one or more, all different"):
        try_variants(variants, train, validation, seed=0, folder=tmp_path, device="cpu")


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no trials"):
        ablation_table([])


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


def test_variants_are_compared_on_validation_images_and_survive_a_break(
    data: Data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, validation = split(data.train, 0.2, seed=0)
    uses_before = data.test.uses.count
    variants = [
        Variant("as it is", tiny, RECIPE),
        Variant("no learning", tiny, replace(RECIPE, learning_rate=1e-9, patience=1)),
    ]

    def try_them(which: list[Variant]) -> list[Trial]:
        return try_variants(which, train, validation, seed=0, folder=tmp_path, device="cpu")

    first = try_them(variants[:1])
    capsys.readouterr()
    both = try_them(variants)
    assert [each.title for each in both] == ["as it is", "no learning"]
    assert both[0] == first[0], "what was finished is not trained again"
    for each in both:
        assert len(each.history) == 2
        assert each.accuracy == each.history[-1].validation_accuracy
        assert each.validation_images == 10 and each.history[-1].test_accuracy is None
    assert both[0].history[-1].train_loss < both[1].history[-1].train_loss
    assert "no learning" in capsys.readouterr().out
    (changed,) = try_them([replace(variants[0], recipe=replace(RECIPE, learning_rate=0.2))])
    assert changed.history != first[0].history, "another recipe starts anew"
    (deeper,) = try_them([replace(variants[0], build_model=deep)])
    assert deeper.history != first[0].history, "another model starts anew"
    assert try_them(variants[:1]) == first
    assert data.test.uses.count == uses_before


def test_choosing_by_test_images_is_refused(data: Data, test: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(LeakedTestImagesError, match="validation"):
        try_variants(
            [Variant("mine", tiny, RECIPE)], data.train, test, seed=0, folder=tmp_path, device="cpu"
        )


def test_the_table_has_each_difference_and_standard_error() -> None:
    lines = ablation_table([trial(EVERYTHING, 20.0), trial("no dropout", 18.5)]).splitlines()
    # By hand: the square root of 0.2 * 0.8 / 5000 is 0.566 %, of 0.185 * 0.815 / 5000 0.549 %.
    assert lines[2] == "| everything | 3.5000 | 20.00 ± 0.57 |  |"
    assert lines[3] == "| no dropout | 3.5000 | 18.50 ± 0.55 | -1.50 |"
