from __future__ import annotations

import pytest

from cifar_lab.experiments import EXPERIMENTS, GROUPS, find_experiments

# What the course reports after three epochs, in percent.
REPORTED = {
    "cifar10-mlp": 42.35,
    "cifar10-skeleton": 61.75,
    "cifar10-convnet": 66.47,
    "cifar10-resnet-small": 66.62,
    "cifar10-resnet-wide": 73.01,
}


@pytest.mark.parametrize("name", REPORTED)
def test_assignment_a_s_rows_have_its_recipe_and_figures(name: str) -> None:
    experiment = EXPERIMENTS[name]
    recipe = experiment.recipe
    assert (recipe.epochs, recipe.batch_size) == (3, 64)
    assert (recipe.optimizer, recipe.learning_rate) == ("adam", 1e-3)
    assert recipe.weight_decay == recipe.label_smoothing == 0
    assert experiment.name == name and experiment.dataset == "cifar10"
    assert experiment.reference == REPORTED[name]


def test_assignment_a_is_its_five_rows_in_order() -> None:
    assert GROUPS["assignment-a"] == tuple(REPORTED)
    assert find_experiments(["assignment-a"]) == list(REPORTED)
    assert find_experiments(["cifar10-convnet", "cifar10-mlp"]) == [
        "cifar10-convnet",
        "cifar10-mlp",
    ]


def test_assignment_b_s_recipe_is_the_course_s() -> None:
    recipe = EXPERIMENTS["cifar100-smallcifarnet"].recipe
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer) == (50, 128, "adamw")
    assert (recipe.learning_rate, recipe.weight_decay) == (1e-3, 5e-4)
    assert (recipe.warmup_epochs, recipe.schedule, recipe.schedule_per) == (5, "cosine", "epoch")
    assert (recipe.label_smoothing, recipe.gradient_clip, recipe.ema_decay) == (0.1, 1.0, 0.995)
    assert recipe.keep_best and recipe.patience == 10
    assert [type(transform).__name__ for transform in recipe.augment] == [
        "RandomCrop",
        "RandomHorizontalFlip",
        "ColorJitter",
        "RandomErasing",
    ]
    tiny = EXPERIMENTS["cifar100-tinynet"].recipe
    assert (tiny.epochs, tiny.batch_size, tiny.optimizer) == (10, 32, "sgd")
    assert (tiny.learning_rate, tiny.momentum) == (1e-3, 0)


@pytest.mark.parametrize("name", GROUPS["assignment-b"])
def test_assignment_b_keeps_the_test_set_out_of_training(name: str) -> None:
    """With validation images the test set is not even watched."""
    assert EXPERIMENTS[name].validation_fraction == 0.1


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_uses_what_the_hardware_is_fast_at(name: str) -> None:
    recipe = EXPERIMENTS[name].recipe
    assert recipe.precision == "auto" and recipe.channels_last
