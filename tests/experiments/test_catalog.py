from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from small import synthetic_set

from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.image_set import Data, Role
from cifar_lab.experiments.budget import training_flops
from cifar_lab.experiments.catalog import EXPERIMENTS, GROUPS, find_experiments
from cifar_lab.experiments.facts import ASSIGNMENTS, FACTS
from cifar_lab.experiments.published import load_published
from cifar_lab.experiments.run import run
from cifar_lab.models import WhitenedResNet
from cifar_lab.models.counting import count_macs, count_parameters
from cifar_lab.models.whitened import Stage

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


def test_cifar100_s_frontier_is_in_no_group() -> None:
    """It takes an hour of a GPU, and the course's groups are what the course states."""
    assert not any("cifar100-frontier" in members for members in GROUPS.values())
    assert find_experiments(["cifar100-frontier"]) == ["cifar100-frontier"]
    assert GROUPS["assignment-b"] == ("cifar100-tinynet", "cifar100-smallcifarnet")
    assert len(GROUPS["frontier"]) == 3


def test_cifar100_s_frontier_trains_on_all_images_and_ends_on_plain_ones() -> None:
    experiment = EXPERIMENTS["cifar100-frontier"]
    recipe = experiment.recipe
    assert not experiment.watch_test and experiment.validation_fraction == 0
    assert not recipe.keep_best and recipe.patience is None
    assert recipe.unmixed_epochs == recipe.epochs / 10
    assert recipe.reestimate_norms and recipe.mix is not None


def test_cifar100_s_frontier_trains_measures_and_saves(tmp_path: Path) -> None:
    """Its recipe over two epochs, with a smaller network on 64 drawn images."""
    sets = []
    for role, count in ((Role.TRAIN, 64), (Role.TEST, 16)):
        drawn = synthetic_set(role, count, seed=0)
        sets.append(replace(drawn, class_names=tuple(str(label) for label in range(100))))
    whole = EXPERIMENTS["cifar100-frontier"]
    recipe = replace(whole.recipe.with_epochs(2), batch_size=16, unmixed_epochs=1)
    model = partial(WhitenedResNet, [Stage(32)], num_classes=100)
    experiment = replace(whole, model=model, recipe=recipe)
    data = Data("synthetic", *sets)
    result = run(experiment, data=data, out=tmp_path, device="cpu", progress=False)
    assert [record.epoch for record in result.history] == [1, 2]
    assert all(0 < record.train_loss < 20 for record in result.history)
    assert all(record.test_accuracy is None for record in result.history)
    assert result.test_uses == 1
    assert all(value.isfinite().all() for value in result.model.state_dict().values())
    again = run(experiment, data=data, out=tmp_path, device="cpu", resume=True, progress=False)
    assert again.test_accuracy == result.test_accuracy
    assert again.recipe == result.recipe == recipe


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_uses_what_the_hardware_is_fast_at(name: str) -> None:
    recipe = EXPERIMENTS[name].recipe
    assert recipe.precision == "auto" and recipe.channels_last


# ---- facts


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_facts_are_what_the_model_and_the_recipe_count_to(name: str) -> None:
    facts, experiment = FACTS[name], EXPERIMENTS[name]
    model = experiment.build_model(DATASETS[experiment.dataset].num_classes)
    assert facts.parameters == count_parameters(model)
    assert facts.macs == count_macs(model)
    assert facts.epochs == experiment.recipe.epochs
    assert facts.training_tflops == pytest.approx(training_flops(experiment) / 1e12, rel=0.005)


def test_expected_accuracies_are_those_of_the_published_runs() -> None:
    expected = {
        name: (facts.accuracy, facts.runs)
        for name, facts in FACTS.items()
        if facts.accuracy is not None
    }
    published = {
        one.experiment: (round(one.accuracy, 2), len(one.test_accuracies))
        for one in load_published()
    }
    assert expected == published


def test_facts_and_catalogue_have_the_same_experiments_on_known_datasets() -> None:
    assert list(FACTS) == list(EXPERIMENTS)
    assert all(facts.dataset in DATASETS for facts in FACTS.values())
    assert set(ASSIGNMENTS.values()) <= set(DATASETS)
    assert all(facts.runs > 0 for facts in FACTS.values() if facts.accuracy is not None)
