"""Faster layers against PyTorch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.training.faster_layers import (
    ConvNorm,
    NarrowBatchNorm2d,
    PoolFirst,
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


@pytest.mark.parametrize("channels", [1, 4])
def test_a_wrong_number_of_channels_is_refused(channels: int) -> None:
    features = torch.randn(16, channels, 8, 8).to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="should contain"):
        NarrowBatchNorm2d(8)(features)


def test_one_value_a_channel_has_no_variance_to_keep() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        update_running_statistics(nn.BatchNorm2d(3), torch.zeros(3), torch.zeros(3), 1)


class Folded(nn.Module):
    """A convolution and its norm, computed as one."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return ConvNorm(self.conv, self.norm).forward(x)


def test_a_convolution_with_its_norm_folded_in_equals_the_two_layers() -> None:
    torch.manual_seed(0)
    folded = Folded(3, 12).double()
    folded.norm.weight.data.uniform_(-1, 1)
    folded.norm.bias.data.uniform_(-1, 1)
    layers = nn.Sequential(*copy.deepcopy([folded.conv, folded.norm]))
    images = 3 + torch.randn(4, 3, 5, 6, dtype=torch.double) * torch.tensor([1, 0.1, 5]).view(
        3, 1, 1
    )
    for _ in range(2):
        outputs, gradients = [], []
        for model in (folded, layers):
            inputs = images.clone().requires_grad_()
            outputs.append(model(inputs))
            gradients.append(
                torch.autograd.grad(outputs[-1].pow(3).sum(), [inputs, *model.parameters()])
            )
        torch.testing.assert_close(*outputs)
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(*(list(m.state_dict().values()) for m in (folded, layers)))
    torch.testing.assert_close(folded.eval()(images), layers.eval()(images))


def test_a_folded_norm_without_momentum_keeps_the_mean_over_batches() -> None:
    torch.manual_seed(0)
    folded = Folded(3, 12).double()
    folded.norm.momentum = None
    layers = nn.Sequential(*copy.deepcopy([folded.conv, folded.norm]))
    for _ in range(3):
        images = torch.randn(4, 3, 5, 6, dtype=torch.double)
        folded(images), layers(images)
    torch.testing.assert_close(*(list(m.state_dict().values()) for m in (folded, layers)))


def test_a_folded_norm_keeps_its_digits_in_mixed_precision() -> None:
    torch.manual_seed(0)
    folded = Folded(3, 12)
    images = 100 + torch.randn(64, 3, 8, 8)  # bf16 has no digits left for their variance
    with torch.autocast("cpu", torch.bfloat16):
        folded(images)
    expected = (folded.conv.weight.flatten(1) ** 2).sum(dim=1)
    torch.testing.assert_close(folded.norm.running_var, 0.9 + 0.1 * expected, rtol=0.1, atol=0)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_pooling_before_a_relu_and_dropout_is_pooling_after_them(dropout: float) -> None:
    torch.manual_seed(0)
    conv, pool = nn.Conv2d(3, 6, 3), nn.MaxPool2d(2)
    layers = [nn.ReLU(), nn.Dropout2d(dropout)]
    images = torch.randn(8, 3, 10, 10)
    outputs, gradients = [], []
    for rest in (PoolFirst(layers, pool).forward, nn.Sequential(*layers, pool)):
        torch.manual_seed(1)
        outputs.append(rest(conv(images)))
        gradients.append(torch.autograd.grad((outputs[-1] ** 2).sum(), list(conv.parameters())))
    assert torch.equal(*outputs)
    for mine, other in zip(*gradients, strict=True):
        assert torch.equal(mine, other)
