from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from cifar_lab.data.image_set import ImageSet, Role, split
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.experiments.ingredients import EVERYTHING
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.variants import Trial
from cifar_lab.models import SmallCIFARNet
from cifar_lab.models.counting import count_parameters
from cifar_lab.reporting import discussion
from cifar_lab.training.history import EpochRecord

MakeResult = Callable[..., Result]
RECIPE = EXPERIMENTS["cifar100-smallcifarnet"].recipe


@pytest.fixture
def result(make_result: MakeResult) -> Result:
    accuracies = [1.0, 20.0, 35.0, 52.5, 52.0]
    return make_result(
        52.87,
        title="SmallCIFARNet",
        num_classes=100,
        recipe=RECIPE,
        seed=42,
        parameters=765_055,
        macs=15_361_024,
        history=[
            EpochRecord(epoch, 5 - epoch / 2, accuracy, None, 40.0)
            for epoch, accuracy in enumerate(accuracies, 1)
        ],
        seconds=200.0,
        test_uses=1,
        model=SmallCIFARNet(),
    )


@pytest.fixture
def baseline(make_result: MakeResult) -> Result:
    return make_result(
        3.4,
        title="TinyNet",
        num_classes=100,
        recipe=EXPERIMENTS["cifar100-tinynet"].recipe,
        parameters=556_708,
        history=[EpochRecord(10, 4.59, 3.5, None, 8.0)],
    )


def trial(title: str, accuracy: float, heading: str = "") -> Trial:
    history = [EpochRecord(1, 3.5, accuracy, None, 12.0)]
    return Trial(title, heading, "cifar100", RECIPE, 765_055, 1e12, 5000, {42: history})


TRIALS = [
    trial(EVERYTHING, 20.0),
    trial("no input normalisation", 18.0, "architecture"),
    trial("no dropout", 25.0, "regularisation"),
    trial("no random crop", 20.1, "regularisation"),
    trial("no warm-up", 15.0, "hyperparameters"),
    trial("no moving average of weights", 19.0, "optimizer"),
]


def test_architecture_tells_where_the_parameters_are(result: Result, baseline: Result) -> None:
    text = discussion.architecture(result, baseline, TRIALS)
    assert "765,055 parameters, 77 % of the 1,000,000" in text
    assert "556,708 parameters" in text
    # By hand: depthwise 9 x (3 + 64 + 128 + 256 + 512 + 512); pointwise the products of channels.
    pointwise = 3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512
    assert f"pointwise 1x1 convolutions {pointwise:,}" in text
    assert f"depthwise 3x3 convolutions {9 * 1475:,}" in text
    assert f"linear layers {512 * 100 + 100:,}" in text
    assert f"pointwise pairs would have {9 * pointwise:,} parameters, 6.3 times" in text
    assert "| no input normalisation | 18.00 ± 0.54 | -2.00" in text


def test_architecture_names_other_convolutions_by_their_kernels(
    result: Result, baseline: Result
) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=5, bias=False),
        nn.Conv2d(8, 8, kernel_size=(3, 1), groups=2, bias=False),
        nn.Conv2d(8, 4, kernel_size=1, bias=False),
    )
    text = discussion.architecture(replace(result, model=model), baseline, [])
    assert "full 5x5 convolutions 600" in text
    assert "grouped 3x1 convolutions 96" in text and "pointwise 1x1 convolutions 32" in text
    assert "in place of" not in text, "there is no depthwise and pointwise pair"
    assert "short run" not in text


def test_architecture_needs_the_model(result: Result, baseline: Result) -> None:
    with pytest.raises(ValueError, match="has no model; load it with load_result"):
        discussion.architecture(replace(result, model=None), baseline, [])


def test_hyperparameters_tell_the_course_of_the_run_and_its_cost(result: Result) -> None:
    text = discussion.hyperparameters(result, TRIALS)
    assert "1.00 % after epoch 1" in text and "52.00 % after epoch 5" in text
    assert "3.3 minutes of training (40.0 s per epoch)" in text
    assert "and 1.2 for the short runs" in text  # six of twelve seconds
    assert "| everything | 20.00 ± 0.57 |  |  |" in text
    assert "| no warm-up | 15.00 ± 0.50 | -5.00" in text
    assert "no dropout" not in text


def test_hyperparameters_of_a_run_that_stopped_while_warming_up(result: Result) -> None:
    text = discussion.hyperparameters(replace(result, history=result.history[:3]), [])
    assert "35.00 % after epoch 3" in text and "epoch 5" not in text


def test_regularisation_knows_the_loss_that_smoothing_leaves(result: Result) -> None:
    text = discussion.regularisation(result, TRIALS, steps_per_epoch=352)
    target = torch.full((100,), 0.1 / 100)
    target[7] += 0.9
    floor = torch.nn.functional.cross_entropy(target.log()[None], target[None]).item()
    assert f"a loss of {floor:.4f}" in text
    # By hand: the roots of 0.25 * 0.75 / 5000 and of 0.201 * 0.799 / 5000.
    assert re.search(r"no dropout \| 25.00 ± 0.61 \| \+5.00 .*\| helps", text)
    assert re.search(r"no random crop \| 20.10 ± 0.57 \| \+0.10 .*\| can't tell", text)
    assert "no warm-up" not in text


def test_regularisation_tells_what_weight_decay_comes_to(result: Result) -> None:
    """Every step of AdamW takes learning rate times weight decay off each weight."""
    weight = 1.0
    for epoch in range(5):  # the result's five epochs
        rate = 1e-3 * (epoch + 1) / 5  # which are the recipe's warm-up
        for _ in range(352):
            weight -= rate * 5e-4 * weight
    text = discussion.regularisation(result, [], steps_per_epoch=352)
    assert f"takes {100 * (1 - weight):.1f} % off a weight" in text


def test_optimizer_is_compared_with_guessing(result: Result, baseline: Result) -> None:
    text = discussion.optimizer(result, baseline, TRIALS)
    assert "sgd, learning rate 0.001, momentum 0; training loss 4.5900 after 10 epochs" in text
    assert f"ln 100 = {math.log(100):.4f}" in text
    assert "up to 0.001 and 0.0002 in the first epoch; training loss 4.5000" in text
    assert "| no moving average of weights | 19.00 ± 0.55 | -1.00" in text


def test_validation_scheme_tells_what_was_selected_and_how_often_the_test_set_was_used(
    result: Result, train: ImageSet
) -> None:
    kept, held_out = split(train, 0.1, seed=0)
    test = ImageSet(train.images, train.labels, Role.TEST, train.class_names)
    test.uses.count = 2
    text = discussion.validation_scheme(result, kept, held_out, 52.87, test)
    assert "45 images to train on, 5 (10 %) to select by" in text and "with seed 42" in text
    assert "best epoch by validation was 4 of 5: 52.50 %" in text and "the last had 52.00 %" in text
    assert "52.87 %, 0.37 points above" in text
    assert (
        "run evaluated on the test set once; in this session" in text and "did so 2 times" in text
    )


def test_a_run_without_validation_has_no_validation_scheme(make_result: MakeResult) -> None:
    with pytest.raises(ValueError, match="without validation images"):
        discussion.hyperparameters(make_result(), TRIALS)


def test_the_parameter_table_adds_up() -> None:
    model = SmallCIFARNet()
    rows = discussion.parameter_table(model).splitlines()[2:]
    numbers = [int(row.split("|")[2].strip(" *").replace(",", "")) for row in rows]
    assert sum(numbers[:-1]) == numbers[-1] == count_parameters(model) == 765_055
    assert rows[0].startswith("| features.0 (DSConvBlock) | ")
    # By hand: 9 x 3 depthwise, 3 x 64 pointwise, 2 x 64 of batch norm.
    assert numbers[0] == 27 + 192 + 128
