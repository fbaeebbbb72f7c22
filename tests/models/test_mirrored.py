from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.image_set import ImageSet
from cifar_lab.models import Stage, WhitenedResNet
from cifar_lab.models.counting import architecture_digest, count_macs, count_parameters
from cifar_lab.models.layers.mirrored import (
    MirroredConv,
    MirroredDepthwise,
    MirroredNorm,
    MirroredWhitening,
)
from cifar_lab.models.layers.whitening import EPSILON
from cifar_lab.models.whitened import SharedStage
from cifar_lab.training.batch_norm import reestimate_norms
from cifar_lab.training.whitening import compute_whitening

SEPARABLE = Stage(8, convs=1, passes=2, pooled_passes=1, separable=True, mirrored=True)
FULL = Stage(8, passes=2, mirrored=True, conv_sets=2)


def exchanged(features: Tensor, fixed: int = 0) -> Tensor:
    """Return the features of the mirror image: mirrored, with the halves exchanged."""
    channels = features.shape[1]
    pairs = (channels - fixed) // 2
    order = [*range(pairs + fixed, channels), *range(pairs, pairs + fixed), *range(pairs)]
    return features.flip(3)[:, order]


def whitened() -> tuple[MirroredWhitening, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(100, 3, 12, 12, generator=generator)
    images = functional.avg_pool2d(noise, 3, stride=1)
    layer = MirroredWhitening()
    layer.compute_from(images)
    return layer, images


@pytest.mark.parametrize("fixed", [0, 2])
@pytest.mark.parametrize(
    "build",
    [
        lambda fixed: MirroredConv(8, 12, fixed=fixed),
        lambda fixed: MirroredConv(8, 12, kernel_size=1, fixed=fixed),
        lambda fixed: MirroredDepthwise(8, fixed=fixed),
    ],
)
def test_a_mirrored_input_exchanges_the_halves_of_the_output(
    build: Callable[[int], nn.Conv2d], fixed: int
) -> None:
    torch.manual_seed(0)
    layer, images = build(fixed), torch.randn(2, 8, 5, 7)
    nn.init.normal_(layer.weight)
    out = layer(images)
    still_fixed = fixed if isinstance(layer, MirroredDepthwise) else 0
    torch.testing.assert_close(layer(exchanged(images, fixed)), exchanged(out, still_fixed))
    assert out.shape == (2, layer.out_channels, 5, 7)


def test_the_first_half_s_weights_are_the_layer_s_own() -> None:
    """The first outputs are those of a plain convolution with the same weights."""
    images = torch.randn(2, 6, 5, 5)
    conv = MirroredConv(6, 8)
    nn.init.normal_(conv.weight)
    plain = functional.conv2d(images, conv.weight, padding=1)
    torch.testing.assert_close(conv(images)[:, :4], plain)
    depthwise = MirroredDepthwise(6)
    plain = functional.conv2d(images[:, :3], depthwise.weight, padding=1, groups=3)
    torch.testing.assert_close(depthwise(images)[:, :3], plain)
    assert count_parameters(conv) == 4 * 6 * 9 and count_parameters(depthwise) == 3 * 9


def test_a_convolution_begins_with_handing_its_inputs_on() -> None:
    images = torch.randn(2, 6, 5, 5)
    out = MirroredConv(6, 10)(images)
    torch.testing.assert_close(out[:, :3], images[:, :3])
    torch.testing.assert_close(out[:, 5:8], images[:, 3:])


def test_norms_are_batch_norms_that_share_biases_and_in_eval_statistics() -> None:
    norm, plain = MirroredNorm(6), nn.BatchNorm2d(6, affine=False)
    nn.init.normal_(norm.bias)
    for _ in range(3):
        images = torch.randn(4, 6, 5, 5) * 3 + 1
        both = norm.bias.repeat(2).view(1, -1, 1, 1)
        torch.testing.assert_close(norm(images), plain(images) + both)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert norm.num_batches_tracked == 3
    norm.eval()
    torch.testing.assert_close(norm(exchanged(images)), exchanged(norm(images)))


def test_statistics_can_be_computed_again(train: ImageSet) -> None:
    """All images are one batch there, so the statistics are those of its features."""
    model = WhitenedResNet([FULL])
    compute_whitening(model, train)
    inputs = []
    norm: Any = model.features[1].enter_norm
    hook = norm.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    reestimate_norms(model, train)
    hook.remove()
    torch.testing.assert_close(norm.running_mean, inputs[0].mean(dim=(0, 2, 3)).detach())


def test_whitening_exchanges_antisymmetric_filters_and_keeps_symmetric_ones() -> None:
    layer, images = whitened()
    out = layer(images)
    assert out.shape == (100, 24, 9, 9) and layer.out_channels == 24
    torch.testing.assert_close(layer(images.flip(3)), exchanged(out, layer.fixed))
    assert count_parameters(layer) == 12 * 12, "one sign of each filter, no bias"


def test_whitened_images_and_their_mirror_images_are_uncorrelated_and_of_equal_variance() -> None:
    layer, images = whitened()
    out = layer(torch.cat([images, images.flip(3)])).transpose(0, 1).flatten(1)
    chosen = out[:12]  # one sign of each
    moments = chosen @ chosen.T / chosen.shape[1]
    off = moments - moments.diag().diag()
    torch.testing.assert_close(off, torch.zeros(12, 12), atol=1e-3, rtol=0)
    assert moments.diag().max() <= 1.001 and moments.diag().min() > 0.9


def test_directions_without_variance_keep_their_symmetry() -> None:
    layer = MirroredWhitening()
    layer.compute_from(torch.zeros(4, 3, 8, 8))
    odd, even = layer.conv.weight.chunk(2)
    assert torch.equal(odd.flip(3).sign(), -odd.sign()) or torch.allclose(odd.flip(3), -odd)
    torch.testing.assert_close(even.flip(3), even)
    assert layer.conv.weight.flatten(1).norm(dim=1).max() <= EPSILON**-0.5 * 1.001


@pytest.mark.parametrize("stage", [SEPARABLE, FULL])
def test_a_network_gives_an_image_and_its_mirror_image_the_same_logits(
    stage: Stage, train: ImageSet
) -> None:
    torch.manual_seed(0)
    model = WhitenedResNet([stage, stage])
    compute_whitening(model, train)
    images = torch.rand(8, 3, 32, 32)
    model.train()(images)  # its halves' statistics differ then
    model.eval()
    torch.testing.assert_close(model(images.flip(3)), model(images), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(model(images.flip(2)), model(images), rtol=1e-3, atol=1e-4)


def test_the_cost_is_a_hand_count() -> None:
    model = WhitenedResNet([Stage(8, convs=1, passes=2, pooled_passes=1, mirrored=True)])
    places = 31 * 31 * (12 * 12 + 24 * 8 * 9) + (2 * 15 * 15 + 7 * 7) * 8 * 8 * 9
    assert count_macs(model) == places + 4 * 10
    weights = 12 * 12 + 4 * 24 * 9 + 4 * 8 * 9 + 4 * 10
    assert count_parameters(model) == weights + 4 * 4, "and four norms' biases"


def test_passes_take_their_sets_of_convolutions_in_turn_and_share_the_last() -> None:
    torch.manual_seed(0)
    stage = SharedStage(4, Stage(6, convs=1, passes=3, conv_sets=2)).eval()
    first, last = stage.convs
    x = functional.gelu(stage.enter_norm(functional.max_pool2d(stage.enter(images_of(4)), 2)))
    norms: Any = stage.passes
    for conv, (norm,) in zip((first, last, last), norms, strict=True):
        x = x + functional.gelu(norm(conv(x)))
    torch.testing.assert_close(stage(images_of(4)), x)


def images_of(channels: int) -> Tensor:
    return torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(1))


def test_networks_that_differ_in_their_sets_or_symmetry_have_digests_of_their_own() -> None:
    stages = (
        Stage(8, convs=2),
        Stage(8, convs=1, passes=2, conv_sets=2),
        Stage(8, convs=1, passes=2),
        Stage(8, convs=1, passes=2, mirrored=True),
    )
    assert len({architecture_digest(WhitenedResNet([stage])) for stage in stages}) == 4


def test_plain_and_mirrored_stages_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="all or none.*mirrored="):
        WhitenedResNet([Stage(8, mirrored=True), Stage(8)])
