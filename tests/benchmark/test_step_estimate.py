from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from torch import nn

from cifar_lab.benchmark.step_estimate import GPU, estimate_step
from cifar_lab.benchmark.student import BENCHMARKED
from cifar_lab.cli.main import main
from cifar_lab.experiments.catalog import Experiment
from cifar_lab.models.counting import count_training_flops
from cifar_lab.training.recipe import Recipe


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10, bias=False))


def convolutions(channels: list[int]) -> nn.Module:
    layers = [nn.Conv2d(*pair, 3) for pair in zip([3, *channels], channels, strict=False)]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 10))


def experiment(model: partial[nn.Module], batch_size: int = 8, **settings: Any) -> Experiment:
    recipe = Recipe(2, batch_size, **{"optimizer": "sgd", "learning_rate": 0.1, **settings})
    return Experiment("own", "cifar10", model, recipe, "Own")


@pytest.mark.parametrize(
    "name",
    ["cifar10-mlp", "cifar10-resnet-small", "cifar100-smallcifarnet", "cifar10-frontier-wide"],
)
def test_the_products_are_those_that_the_model_s_layers_have(name: str) -> None:
    one = BENCHMARKED[name]
    step = estimate_step(one)
    model = one.build_model(100 if one.dataset == "cifar100" else 10)
    expected = count_training_flops(model) * one.recipe.batch_size
    muon = one.recipe.optimizer == "muon"  # its own products are a few percent
    assert expected <= step.flops < (1.1 if muon else 1.001) * expected


def test_bytes_and_kernels_of_a_linear_layer_are_those_counted_by_hand() -> None:
    step = estimate_step(experiment(partial(linear), batch_size=1000))
    images, weights = 1000 * 3072, 10 * 3072
    # Of each number of an image: gathered (1 + 1 byte), made float32 (1 + 4), divided (4 + 4), cast
    # to half precision (4 + 2), and read by the products of both passes (2 + 2).
    most = images * (2 + 5 + 8 + 6 + 4)
    assert most < step.moved_bytes < 1.02 * most + 100 * weights
    assert step.flops == 2 * 2 * images * 10  # no gradient of the images


def test_orthogonal_steps_of_equal_shapes_take_no_more_kernels_than_one() -> None:
    muon = {"optimizer": "muon", "other_learning_rate": 0.1, "momentum": 0.9}

    def more_than_sgd(count: int) -> int:
        model = partial(convolutions, [4] * count)
        kernels = [estimate_step(experiment(model, **each)).kernels for each in (muon, {})]
        return kernels[0] - kernels[1]

    few, more = more_than_sgd(3), more_than_sgd(8)
    assert few > 2 * 3 * 5, "two shapes, three products in each of five Newton-Schulz steps"
    assert more < 1.5 * few


def test_a_step_takes_what_is_slowest() -> None:
    one = experiment(partial(linear), batch_size=1000)
    slow_host = estimate_step(one, GPU(1e12, 1e13, launch_seconds=1.0))
    assert slow_host.seconds == slow_host.kernels
    slow_memory = estimate_step(one, GPU(1e3, 1e30, kernel_seconds=0.0))
    assert slow_memory.seconds == pytest.approx(slow_memory.moved_bytes / 1e3)
    slow_units = estimate_step(one, GPU(1e30, 1e3, kernel_seconds=0.0))
    assert slow_units.seconds == pytest.approx(slow_units.flops / 1e3)
    assert slow_units.epoch_seconds(2000) == 2 * slow_units.seconds


def test_what_is_for_measuring_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cifar10-mlp", "--estimate", "t4", "--images", "640"]) == 1
    assert "--images is for measuring" in capsys.readouterr().err


def test_the_command_prints_a_row_for_each_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cifar10-mlp", "student-network", "--estimate", "t4"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "SimpleMLP",
        "A student's network",
    ]
