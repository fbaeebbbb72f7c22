from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.models import SharedStage, WhitenedResNet, build_model
from cifar_lab.models.counting import (
    architecture_digest,
    count_macs,
    count_parameters,
    count_training_flops,
)
from cifar_lab.models.whitened import Stage, conv3x3, separable_conv3x3


def test_a_pass_adds_norms_and_no_convolution() -> None:
    once, thrice = (SharedStage(24, Stage(16, passes=passes)) for passes in (1, 3))
    norms = 2 * (2 * 16)  # of two convolutions, a scale and a shift a channel
    assert count_parameters(thrice) - count_parameters(once) == 2 * norms
    convolutions = [each for each in thrice.modules() if isinstance(each, nn.Conv2d)]
    assert len(convolutions) == 3


def test_a_stage_is_its_layers_one_after_another() -> None:
    torch.manual_seed(0)
    stage = SharedStage(4, Stage(6, convs=1, passes=1, pooled_passes=1)).eval()
    for norm in stage.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean)
            nn.init.uniform_(norm.weight)
    images = torch.randn(3, 4, 8, 8)
    (conv,) = stage.convs
    (first,), (second,) = stage.passes
    x = functional.gelu(stage.enter_norm(functional.max_pool2d(stage.enter(images), 2)))
    x = x + functional.gelu(first(conv(x)))
    x = functional.max_pool2d(x, 2)
    x = x + functional.gelu(second(conv(x)))
    torch.testing.assert_close(stage(images), x)
    assert x.shape == (3, 6, 2, 2)


def test_a_convolution_begins_with_handing_its_inputs_on() -> None:
    images = torch.randn(2, 5, 6, 6)
    torch.testing.assert_close(conv3x3(5, 8)(images)[:, :5], images)


def test_a_separable_one_begins_near_it() -> None:
    torch.manual_seed(0)
    images = torch.randn(200, 5, 6, 6)
    outputs = separable_conv3x3(5, 8)(images)[:, :5]
    for channel in range(5):
        pair = torch.stack([images[:, channel].flatten(), outputs[:, channel].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.7


def test_the_cost_is_a_hand_count() -> None:
    model = WhitenedResNet([Stage(8, convs=1, passes=2, pooled_passes=1)])
    whitening = 31 * 31 * 24 * 12
    enter = 31 * 31 * 24 * 8 * 9
    passes = (2 * 15 * 15 + 7 * 7) * 8 * 8 * 9
    assert count_macs(model) == whitening + enter + passes + 8 * 10
    weights = 24 * 12 + 24 + 24 * 8 * 9 + 8 * 8 * 9 + 8 * 10
    assert count_parameters(model) == weights + 4 * 2 * 8


def test_networks_that_differ_in_more_than_their_layers_have_digests_of_their_own() -> None:
    stages = (Stage(8, passes=2, pooled_passes=1), Stage(8, passes=3))
    digests = {
        architecture_digest(WhitenedResNet([stage], logit_scale=scale))
        for stage in stages
        for scale in (0.2, 1.0)
    }
    assert len(digests) == 4


def test_small_logits_are_large_ones_scaled() -> None:
    torch.manual_seed(0)
    plain = WhitenedResNet([Stage(4)], logit_scale=1.0).eval()
    small = WhitenedResNet([Stage(4)], logit_scale=0.25).eval()
    small.load_state_dict(plain.state_dict())
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(small(images), plain(images) / 4)


@pytest.mark.parametrize(
    ("name", "most_parameters", "budget"),
    [
        ("cifar10-frontier-wide", 121_306, "resnet-wide"),
        ("cifar10-frontier-tiny", 4_000, "resnet-small"),
    ],
)
def test_the_frontier_keeps_to_the_budget(name: str, most_parameters: int, budget: str) -> None:
    experiment = EXPERIMENTS[name]
    model = experiment.build_model(10)
    assert count_parameters(model) <= most_parameters
    assert count_training_flops(model) <= count_training_flops(build_model(budget))
    assert experiment.recipe.epochs == 3


def test_the_largest_stays_under_a_million() -> None:
    assert count_parameters(EXPERIMENTS["cifar10-frontier-94"].build_model(10)) < 1_000_000


@pytest.mark.parametrize("size", ["wide", "tiny", "94"])
def test_the_frontier_leaves_the_test_set_for_the_end(size: str) -> None:
    experiment = EXPERIMENTS[f"cifar10-frontier-{size}"]
    assert not experiment.watch_test and experiment.validation_fraction == 0
