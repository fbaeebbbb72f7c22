from __future__ import annotations

import os
import shutil
from typing import Any

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
from cifar_lab.models.whitened import Stage, conv3x3, global_max, separable_conv3x3


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


@pytest.mark.parametrize("affine", [True, False])
def test_digests_are_the_same_whether_norms_print_their_bias_or_not(
    affine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(bias: str) -> str:
        return f"8, eps=1e-05, momentum=0.1, affine={affine}{bias}, track_running_stats=True"

    digests = set()
    for text in (printed(""), printed(f", bias={affine}")):
        monkeypatch.setattr(nn.BatchNorm2d, "extra_repr", lambda norm, text=text: text)
        digests.add(architecture_digest(nn.Sequential(nn.BatchNorm2d(8))))
    assert len(digests) == 1


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
        ("cifar10-frontier-tiny", 2_700, "resnet-small"),
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


# ---- the global maximum


def test_equal_maxima_share_the_gradient() -> None:
    features = torch.tensor([[[[1.0, 3.0], [3.0, 2.0]]]], requires_grad=True)
    global_max(features).sum().backward()
    assert features.grad.flatten().tolist() == [0, 0.5, 0.5, 0]


@pytest.mark.slow  # compiling takes half a minute
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_compiled_network_has_finite_gradients(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    network = WhitenedResNet([Stage(8, convs=1)])
    gradients = []
    images = torch.rand(8, 3, 32, 32)
    images[4:] = 0.5  # places where all features are equal
    for forward in (network, _compiled(network)):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
            loss = functional.cross_entropy(forward(images), torch.arange(8))
        loss.backward()
        trained = [each.grad for each in network.parameters() if each.grad is not None]
        gradients.append(torch.cat([each.flatten() for each in trained]))
    eager, compiled = gradients
    assert compiled.isfinite().all()
    # Equal maxima share the gradient in one and not in the other, which later layers see.
    assert functional.cosine_similarity(eager, compiled, dim=0) > 0.9


@pytest.mark.slow
@pytest.mark.xfail(reason="PyTorch's issue 186799; `global_max` needs no second way without it")
def test_amax_itself_can_be_compiled() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 8, 3)

    def loss(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            features = functional.gelu(layer(images))
            return (features + functional.gelu(features)).amax(dim=(2, 3)).float().square().mean()

    _compiled(loss)(torch.rand(4, 3, 16, 16)).backward()
    assert layer.weight.grad.isfinite().all()


def _compiled(function: Any) -> Any:
    """Return the compiled function; without a C++ compiler the test is skipped."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no C++ compiler")
    torch._dynamo.reset()
    return torch.compile(function)
