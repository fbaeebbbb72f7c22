"""Convolutions channels-last inside a network: faster, and invisible to the network's own code."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.models.layout import Layout, find_layout, is_written_here

IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Viewed(nn.Module):
    """As PyTorch's tutorial writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6 * 3 * 3, 10)

    def forward(self, images: Tensor) -> Tensor:
        assert images.is_contiguous()
        x = functional.max_pool2d(functional.relu(self.conv(images)), 2)
        return self.head(x.view(-1, 6 * 3 * 3))


class Flattened(Viewed):
    def forward(self, images: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv(images)), 2)
        return self.head(x.flatten(1))


class ReadsStrides(Viewed):
    """It takes its features for contiguous in a way that nothing can see through."""

    def forward(self, images: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv(images)), 2)
        return self.head(x.as_strided((len(x), 54), (54, 1)))


class ChangesAView(Viewed):
    """A view's values are changed, and the features behind it with them."""

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images)[:, :, :3, :3].clone()
        x.view(len(x), -1).mul_(0)
        return self.head(x.flatten(1))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Flattened, Layout.CHANNELS_LAST),
        (Viewed, Layout.CHANNELS_LAST_VIEWS),
        (ReadsStrides, Layout.PLAIN),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), Layout.PLAIN),
        (lambda: torch.jit.script(Flattened()), Layout.PLAIN),
    ],
)
def test_the_fastest_layout_is_found_that_a_network_can_take(
    network: type[nn.Module], expected: Layout
) -> None:
    assert find_layout(network(), IMAGES, train=True) is expected


@pytest.mark.parametrize("network", [Viewed, Flattened, ReadsStrides, ChangesAView])
def test_gradients_are_those_of_the_plain_layout(network: type[nn.Module]) -> None:
    model = network()
    twin = copy.deepcopy(model)
    layout = find_layout(model, IMAGES, train=True)
    with layout.within(model):
        model(IMAGES.clone()).square().sum().backward()
    twin(IMAGES.clone()).square().sum().backward()
    for mine, plain in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad, rtol=1e-4, atol=1e-5)


def test_a_view_and_a_flatten_compute_the_same_to_the_bit() -> None:
    viewed, flattened = Viewed(), Flattened()
    flattened.load_state_dict(viewed.state_dict())
    with Layout.CHANNELS_LAST_VIEWS.within(viewed):
        mine = viewed(IMAGES)
    with Layout.CHANNELS_LAST.within(flattened):
        other = flattened(IMAGES)
    assert torch.equal(mine, other)


def test_afterwards_weights_lie_as_before_and_are_the_same_parameters() -> None:
    model = Viewed()
    kept = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    model.other = kept  # its owner asked for the layout
    before = dict(model.named_parameters())
    values = {name: weight.clone() for name, weight in before.items()}
    with pytest.raises(RuntimeError, match="within"), Layout.CHANNELS_LAST.within(model):
        assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert not model.conv.weight.is_contiguous()
        raise RuntimeError("within")
    for name, weight in model.named_parameters():
        assert weight is before[name]
        assert torch.equal(weight, values[name])
    assert model.conv.weight.is_contiguous()
    assert not kept.weight.is_contiguous()
    assert not model.conv._forward_pre_hooks


def test_weights_that_share_their_memory_go_on_sharing_it() -> None:
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    second.weight = nn.Parameter(first.weight.data.view(4, 3, 3, 3))
    with Layout.CHANNELS_LAST.within(nn.Sequential(first, second)):
        first.weight.data.add_(1)
        assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.weight, second.weight)


def test_a_network_that_hooks_watch_is_not_tried_out() -> None:
    model, seen = Flattened(), []
    model.head.register_forward_hook(lambda *arguments: seen.append(arguments))
    assert find_layout(model, IMAGES, train=True) is Layout.PLAIN
    assert not seen


def test_hooks_of_pytorch_itself_do_not_count() -> None:
    model = Flattened()
    nn.utils.spectral_norm(model.head)
    assert find_layout(model, IMAGES, train=True) is Layout.CHANNELS_LAST


def test_code_of_ones_own_is_told_from_that_of_the_packages() -> None:
    assert is_written_here(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()))
    assert not is_written_here(nn.Sequential(Flattened()))
    patched = nn.Conv2d(3, 4, 3)
    patched.forward = patched.forward
    assert not is_written_here(patched)
