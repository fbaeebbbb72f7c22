from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace

import pytest
from torch import nn

from cifar_lab.experiments.budget import T4_HOUR_FLOPS, check_budget, training_flops
from cifar_lab.experiments.catalog import EXPERIMENTS, Experiment
from cifar_lab.training.recipe import Recipe


def tiny() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 20), nn.Linear(20, 10))


EXPERIMENT = Experiment("mine", "cifar10", tiny, Recipe(4, 16, "sgd", 0.05), "Mine")
PARAMETERS = 48 * 20 + 20 + 20 * 10 + 10
# Two operations a multiplication; forward, and back to the weights and but for the first the input.
IMAGE_FLOPS = 2 * (2 * 48 * 20 + 3 * 20 * 10)


def test_training_is_every_image_of_every_epoch_counted_by_hand() -> None:
    assert training_flops(EXPERIMENT) == IMAGE_FLOPS * 50_000 * 4
    assert training_flops(EXPERIMENT, images=70) == IMAGE_FLOPS * 70 * 4


def test_images_held_out_are_not_trained_on() -> None:
    experiment = replace(EXPERIMENT, validation_fraction=0.1)
    assert training_flops(experiment) == pytest.approx(IMAGE_FLOPS * 45_000 * 4)


def test_an_experiment_within_its_budget_is_answered_with_its_cost() -> None:
    cost = check_budget(EXPERIMENT)
    assert (cost.parameters, cost.training_flops) == (PARAMETERS, IMAGE_FLOPS * 50_000 * 4)
    with pytest.raises(FrozenInstanceError):
        cost.parameters = 0  # type: ignore[misc]


def test_parameters_stay_below_their_limit_and_operations_may_reach_it() -> None:
    flops = IMAGE_FLOPS * 50_000 * 4
    check_budget(EXPERIMENT, max_parameters=PARAMETERS + 1, max_flops=flops)
    with pytest.raises(ValueError, match=r"1,190 parameters; expected fewer than 1,190\..* 1\."):
        check_budget(EXPERIMENT, max_parameters=PARAMETERS)
    with pytest.raises(ValueError, match=r"4 epochs take .* recipe\.with_epochs\(3\) would fit"):
        check_budget(EXPERIMENT, max_flops=flops - 1)


def test_both_reasons_are_given_at_once() -> None:
    with pytest.raises(ValueError) as error:
        check_budget(EXPERIMENT, max_parameters=100, max_flops=1e6)
    assert "mine is over its budget: its model has 1,190" in str(error.value)
    assert "Take away at least 1,091." in str(error.value)
    assert "Not even one fits." in str(error.value)


@pytest.mark.parametrize("name", ["cifar100-frontier", "cifar100-smallcifarnet"])
def test_cifar100_s_experiments_train_in_an_hour_of_a_t4(name: str) -> None:
    cost = check_budget(EXPERIMENTS[name])
    assert cost.parameters < 1_000_000 and cost.training_flops <= 3e16


def test_a_recipe_ten_times_longer_is_refused_with_the_epochs_that_fit() -> None:
    experiment = EXPERIMENTS["cifar100-frontier"]
    recipe = experiment.recipe.with_epochs(10 * experiment.recipe.epochs)
    with pytest.raises(ValueError, match="10,000 epochs take 2.64e.17") as error:
        check_budget(replace(experiment, recipe=recipe))
    found = re.search(r"recipe\.with_epochs\((\d+)\) would fit", str(error.value))
    assert found is not None
    fitting = int(found[1])
    check_budget(replace(experiment, recipe=recipe.with_epochs(fitting)))
    one_more = replace(experiment, recipe=recipe.with_epochs(fitting + 1))
    assert training_flops(one_more) > T4_HOUR_FLOPS
    # A round number of epochs that uses most of the hour.
    assert experiment.recipe.epochs <= fitting < 1.15 * experiment.recipe.epochs
