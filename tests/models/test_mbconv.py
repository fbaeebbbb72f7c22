from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cifar_lab.models import MBConvBlock, MBConvNet
from cifar_lab.models.counting import count_macs, count_parameters


@pytest.mark.parametrize(("out_channels", "stride"), [(4, 1), (6, 1), (6, 2), (4, 2)])
def test_a_block_is_its_layers_one_after_another(out_channels: int, stride: int) -> None:
    torch.manual_seed(0)
    block = MBConvBlock(4, out_channels, stride)
    up, _, _, depthwise, _, _, gates, down, _ = block.residual
    x = torch.randn(3, 4, 6, 6)

    def normalized(features: torch.Tensor) -> torch.Tensor:
        """A new batch norm on a training batch."""
        variance, mean = torch.var_mean(features, dim=(0, 2, 3), correction=0, keepdim=True)
        return (features - mean) / torch.sqrt(variance + 1e-5)

    inside = functional.silu(normalized(functional.conv2d(x, up.weight)))
    assert inside.shape == (3, 24, 6, 6)
    planes = [  # each channel by itself
        functional.conv2d(plane, weight[None], stride=stride, padding=1)
        for plane, weight in zip(inside.split(1, dim=1), depthwise.weight, strict=True)
    ]
    looked = gates(functional.silu(normalized(torch.cat(planes, dim=1))))
    expected = normalized(functional.conv2d(looked, down.weight))
    if (out_channels, stride) == (4, 1):
        expected = expected + x
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)
    assert expected.shape == (3, out_channels, 6 // stride, 6 // stride)


def test_images_are_normalised_and_groups_but_the_first_halve_the_size() -> None:
    torch.manual_seed(0)
    model = MBConvNet(4, [(4, 2), (6, 1), (8, 1)], head_channels=10, num_classes=7).eval()
    images = torch.rand(2, 3, 32, 32)
    x, sizes = model.normalize(images), []
    for layer in model.features:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | MBConvBlock):
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(4, 32, 32), (4, 32, 32), (4, 32, 32), (6, 16, 16), (8, 8, 8), (10, 8, 8)]
    torch.testing.assert_close(model(images), model.head(x.flatten(2).mean(dim=2)))
    assert model(images).shape == (2, 7)


def test_the_size_and_the_cost_are_a_hand_count() -> None:
    parameters = macs = inside = 0
    for channels, blocks, area in ((24, 3, 32 * 32), (48, 4, 16 * 16), (96, 5, 8 * 8)):
        for block in range(blocks):
            inputs = channels if block or not inside else inside
            # A stride comes after the first 1x1.
            before = area * 4 if inside and not block else area
            wide = 6 * inputs
            squeezed = wide // 24
            gates = 2 * wide * squeezed
            parameters += wide * (inputs + 9 + channels) + gates + squeezed + wide
            parameters += 2 * (2 * wide + channels)
            macs += before * inputs * wide + area * (9 * wide + wide * channels) + gates
        inside = channels
    stem, head = 9 * 3 * 24, 96 * 320
    parameters += stem + 2 * 24 + head + 2 * 320 + 320 * 100 + 100
    macs += 32 * 32 * stem + 8 * 8 * head + 320 * 100
    model = MBConvNet(24, [(24, 3), (48, 4), (96, 5)])
    assert count_parameters(model) == parameters == 865_300
    assert count_macs(model) == macs
