from __future__ import annotations

import pytest
import torch
from torch import nn

from cifar_lab.models import SqueezeExcitation, WideBlock, WideResNet
from cifar_lab.models.counting import count_macs, count_parameters
from cifar_lab.models.layers.blocks import he_conv


def test_gates_are_those_computed_by_hand() -> None:
    torch.manual_seed(0)
    layer = SqueezeExcitation(4, reduction=2)
    squeeze, _, excite, _ = layer.gates
    x = torch.randn(3, 4, 5, 6)
    outputs = layer(x)
    for image, output in zip(x, outputs, strict=True):
        means = image.sum(dim=(1, 2)) / (5 * 6)
        few = (squeeze.weight @ means + squeeze.bias).clamp(min=0)
        gates = 1 / (1 + torch.exp(-(excite.weight @ few + excite.bias)))
        assert few.shape == (2,) and gates.shape == (4,)
        for channel in range(4):
            torch.testing.assert_close(output[channel], image[channel] * gates[channel])


def unlike_new(block: nn.Module) -> nn.Module:
    """Batch norms as training may leave them."""
    for norm in block.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return block.eval()


@pytest.mark.parametrize(("out_channels", "stride"), [(8, 1), (12, 1), (12, 2), (8, 2)])
def test_a_block_is_its_layers_one_after_another(out_channels: int, stride: int) -> None:
    torch.manual_seed(0)
    block = unlike_new(WideBlock(8, out_channels, stride))
    norm, _ = block.activate
    conv, second_norm, _, second_conv, gates = block.residual
    x = torch.randn(2, 8, 6, 6)
    activated = norm(x).clamp(min=0)
    residual = gates(second_conv(second_norm(conv(activated)).clamp(min=0)))
    shortcut = x if (out_channels, stride) == (8, 1) else block.shortcut(activated)
    torch.testing.assert_close(block(x), residual + shortcut)
    assert block(x).shape == (2, out_channels, 6 // stride, 6 // stride)


@pytest.mark.parametrize(
    ("out_channels", "stride", "identity"), [(8, 1, True), (12, 1, False), (8, 2, False)]
)
def test_a_shortcut_is_the_identity_unless_the_shape_changes(
    out_channels: int, stride: int, identity: bool
) -> None:
    block = WideBlock(8, out_channels, stride)
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert all(layer.bias is None for layer in convolutions)
    others = [layer for layer in convolutions if layer.kernel_size == (1, 1)]
    assert len(convolutions) == 2 + len(others)
    assert [layer.stride for layer in others] == ([] if identity else [(stride, stride)])


def test_a_convolution_s_weights_have_he_s_variance() -> None:
    torch.manual_seed(0)
    weights = he_conv(200, 50, kernel_size=3).weight
    assert weights.mean().item() == pytest.approx(0, abs=1e-3)
    assert weights.var().item() == pytest.approx(2 / (50 * 9), rel=0.02)


def test_images_are_normalised_and_groups_halve_the_size() -> None:
    torch.manual_seed(0)
    model = WideResNet(4, [(8, 2), (16, 1), (8, 1)], num_classes=7)
    model = unlike_new(model)
    images = torch.rand(2, 3, 32, 32)
    x, sizes = model.normalize(images), []
    for layer in model.features:
        x = layer(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes[:5] == [(4, 32, 32), (8, 32, 32), (8, 32, 32), (16, 16, 16), (8, 8, 8)]
    assert sizes[5:] == [(8, 8, 8)] * 2 and x.min() == 0
    expected = model.head(x.flatten(2).mean(dim=2))
    torch.testing.assert_close(model(images), expected)
    assert expected.shape == (2, 7)


def test_the_size_and_the_cost_are_a_hand_count() -> None:
    stem = 9 * 3 * 32
    convolutions, norms, gates = {}, 2 * 112, 0
    inside = 32
    for channels, blocks, area in ((48, 3, 32 * 32), (80, 3, 16 * 16), (112, 2, 8 * 8)):
        convolutions[area] = (9 + 1) * inside * channels + (2 * blocks - 1) * 9 * channels**2
        norms += 2 * (inside + channels + (blocks - 1) * 2 * channels)
        gates += blocks * 2 * channels * (channels // 8)
        inside = channels
    gate_biases = 3 * (48 + 6) + 3 * (80 + 10) + 2 * (112 + 14)
    head = 112 * 100
    model = WideResNet(32, [(48, 3), (80, 3), (112, 2)])
    weights = stem + sum(convolutions.values()) + gates + head
    parameters = weights + norms + gate_biases + 100
    assert count_parameters(model) == parameters < 1_000_000
    macs = stem * 32 * 32 + sum(area * count for area, count in convolutions.items())
    assert count_macs(model) == macs + gates + head
    assert 233e6 < count_macs(model) < 235e6
