"""Batch norm in rows against PyTorch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.models import resnet_small
from cifar_lab.models.layers.batch_norm import (
    NarrowBatchNorm2d,
    fits_rows,
    update_running_statistics,
)

IN_ROWS = "_BatchNormInRowsBackward"


def random_features(*shape: int) -> Tensor:
    scale = torch.tensor([1, 0.1, 5, 2]).repeat(shape[1] // 4).view(-1, 1, 1)
    features = 3 + scale * torch.randn(shape)
    return features.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", [(16, 8, 32, 32), (3, 4, 4, 8), (2, 4, 4, 10), (4, 12, 5, 7)])
def test_it_equals_pytorch_s_batch_norm(shape: tuple[int, ...], momentum: float | None) -> None:
    torch.manual_seed(0)
    norm = NarrowBatchNorm2d(shape[1], momentum=momentum)
    norm.weight.data.uniform_(-1, 1)
    norm.bias.data.uniform_(-1, 1)
    expected = nn.BatchNorm2d(shape[1], momentum=momentum).double()
    expected.load_state_dict(norm.state_dict())
    assert fits_rows(random_features(*shape)) == (shape[1] != 12)
    for _ in range(2):
        features = random_features(*shape)
        assert (type(norm(features).grad_fn).__name__ == IN_ROWS) == (shape[1] != 12)
        expected(features.double())  # both have now seen one batch more
        results = []
        for each, inputs in ((norm, features), (expected, features.double())):
            inputs.requires_grad_()
            out = each(inputs)
            gradients = torch.autograd.grad(out.pow(3).sum(), [inputs, each.weight, each.bias])
            results.append([out, *gradients, *each.buffers()])
        for result, other in zip(*results, strict=True):
            error = (result - other).abs().max() / other.abs().max()
            assert error < 3e-5  # of the largest: what PyTorch's own comes to in float32


@pytest.mark.parametrize(
    "features",
    [
        torch.randn(4, 8, 6, 6),
        random_features(4, 8, 6, 6).double(),
        random_features(4, 8, 6, 6).bfloat16(),
        random_features(2, 8, 2, 2),
    ],
    ids=["channels-first", "double", "bf16", "one row"],
)
def test_other_inputs_are_left_to_pytorch(features: Tensor) -> None:
    norm = NarrowBatchNorm2d(8)
    expected = copy.deepcopy(norm)
    expected.__class__ = nn.BatchNorm2d
    if features.dtype is torch.double:
        norm, expected = norm.double(), expected.double()
    out = norm(features)
    assert type(out.grad_fn).__name__ != IN_ROWS
    assert torch.equal(out, expected(features))
    assert torch.equal(norm.running_var, expected.running_var)  # type: ignore[arg-type]


def test_its_gradients_may_come_in_any_memory_format() -> None:
    torch.manual_seed(0)
    norm, features = NarrowBatchNorm2d(8), random_features(4, 8, 4, 4).requires_grad_()
    weights = torch.randn(4, 8, 4, 4)
    first = torch.autograd.grad(norm(features), features, weights)[0]
    weights = weights.to(memory_format=torch.channels_last)
    assert torch.equal(first, torch.autograd.grad(norm(features), features, weights)[0])


def test_one_value_a_channel_is_refused_as_pytorch_does() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        NarrowBatchNorm2d(8)(torch.randn(1, 8, 1, 1))


def test_it_is_what_the_small_resnet_trains_with() -> None:
    model = resnet_small().to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 32, 32).to(memory_format=torch.channels_last)
    seen = []
    for layer in model.modules():
        if isinstance(layer, NarrowBatchNorm2d):
            layer.register_forward_hook(lambda *args: seen.append(type(args[2].grad_fn).__name__))
    model(images)
    assert seen == [IN_ROWS] * 4


@pytest.mark.parametrize("channels", [1, 4])
def test_a_wrong_number_of_channels_is_refused(channels: int) -> None:
    features = torch.randn(16, channels, 8, 8).to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="should contain"):
        NarrowBatchNorm2d(8)(features)


def test_one_value_a_channel_has_no_variance_to_keep() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        update_running_statistics(nn.BatchNorm2d(3), torch.zeros(3), torch.zeros(3), 1)
