"""Faster layers against PyTorch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cifar_lab.training.faster_layers import FasterSequential, conv_norm


def test_one_value_per_channel_has_no_variance_to_keep() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        conv_norm(torch.randn(1, 3, 1, 1), nn.Conv2d(3, 24, 1, bias=False), nn.BatchNorm2d(24))


class Folded(nn.Module):
    """A convolution and its norm, computed as one."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(outside)

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm(x, self.conv, self.norm) if self.training else self.norm(self.conv(x))


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
    layers = nn.Sequential(nn.ReLU(), nn.Dropout2d(dropout), pool)
    faster = copy.deepcopy(layers)
    faster.__class__ = FasterSequential
    images = torch.randn(8, 3, 10, 10)
    outputs, gradients = [], []
    for rest in (faster, layers):
        torch.manual_seed(1)
        outputs.append(rest(conv(images)))
        gradients.append(torch.autograd.grad((outputs[-1] ** 2).sum(), list(conv.parameters())))
    assert torch.equal(*outputs)
    for mine, other in zip(*gradients, strict=True):
        assert torch.equal(mine, other)
