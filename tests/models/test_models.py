from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.transforms import Normalize as TorchvisionNormalize

from cifar_lab.models import (
    MODELS,
    BottleneckResBlock,
    DSConvBlock,
    Normalize,
    SimpleMLP,
    SkeletonConvNet,
    build_model,
)
from cifar_lab.models.counting import count_macs, count_parameters, count_training_flops
from cifar_lab.models.separable import CIFAR100_MEAN, CIFAR100_STD

# Name: the classes and the parameters that the coursework states, and the last layer's inputs.
STATED = {
    "mlp": (10, 308_310, 100),
    "skeleton": (10, 42_362, 16 * 16 * 16),
    "convnet": (10, 143_466, 64 * 8 * 8),
    "resnet-small": (10, 32_946, 32 * 8 * 8),
    "resnet-wide": (10, 121_306, 64 * 8 * 8),
    "tinynet": (100, 556_708, 128),
    "smallcifarnet": (100, 765_055, 512),
}
# Name: the parameters, with the classes that the network is for.
FRONTIER = {
    "frontier-wide": 119_544,
    "frontier-wide-mirrored": 117_156,
    "frontier-tiny": 3_312,
    "frontier-tiny-mirrored": 2_634,
    "frontier-94": 902_072,
    "frontier-100": 914_616,
}


def test_every_registered_model_has_a_stated_size() -> None:
    assert set(MODELS) == set(STATED) | set(FRONTIER)
    for name, parameters in FRONTIER.items():
        assert count_parameters(MODELS[name]()) == parameters


@pytest.mark.parametrize("name", STATED)
def test_parameters_are_exactly_the_coursework_s(name: str) -> None:
    classes, parameters, _ = STATED[name]
    assert count_parameters(build_model(name, classes)) == parameters
    assert count_parameters(MODELS[name]()) == parameters  # its own default


@pytest.mark.parametrize("name", STATED)
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_other_classes_change_the_last_layer_alone(name: str, classes: int) -> None:
    stated_classes, parameters, inputs = STATED[name]
    expected = parameters + (classes - stated_classes) * (inputs + 1)
    assert count_parameters(build_model(name, classes)) == expected


@pytest.mark.parametrize("name", STATED)
@pytest.mark.parametrize("classes", [10, 100])
def test_logits_are_one_row_an_image(name: str, classes: int) -> None:
    assert build_model(name, classes)(torch.rand(2, 3, 32, 32)).shape == (2, classes)


def test_an_unknown_model_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(ValueError, match="Unknown model 'resnet-smal'. Did you mean 'resnet-small"):
        build_model("resnet-smal")


def test_an_unlike_name_is_answered_with_all_names() -> None:
    with pytest.raises(ValueError) as error:
        build_model("???")
    assert "Did you mean" not in str(error.value)
    assert all(name in str(error.value) for name in STATED)


@pytest.mark.parametrize("classes", [1, 0, -1])
def test_fewer_than_two_classes_are_refused(classes: int) -> None:
    with pytest.raises(ValueError, match=f"num_classes is {classes}"):
        build_model("mlp", classes)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(16, 16), (3, 16), (32, 16)])
def test_a_bottleneck_s_shortcut_is_the_identity_unless_channels_change(
    in_channels: int, out_channels: int
) -> None:
    block = BottleneckResBlock(in_channels, 8, out_channels)
    assert isinstance(block.shortcut, nn.Identity) == (in_channels == out_channels)
    convolutions = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 3 + (in_channels != out_channels)
    assert all(layer.bias is None for layer in convolutions)
    assert block(torch.rand(1, in_channels, 4, 4)).shape == (1, out_channels, 4, 4)


def test_a_bottleneck_adds_its_shortcut_before_the_last_relu() -> None:
    block = BottleneckResBlock(4, 2, 4).eval()
    x = torch.randn(2, 4, 5, 5)
    nn.init.zeros_(block.residual[-1].weight)  # the last batch norm then gives zeros
    torch.testing.assert_close(block(x), x.clamp(min=0))


def test_a_separable_block_looks_around_then_mixes_channels() -> None:
    depthwise, pointwise, norm, relu, dropout = DSConvBlock(8, 16, stride=2, p_drop=0.3).layers
    assert (depthwise.weight.shape, depthwise.groups) == ((8, 1, 3, 3), 8)
    assert (depthwise.stride, depthwise.padding) == ((2, 2), (1, 1))
    assert pointwise.weight.shape == (16, 8, 1, 1)
    assert depthwise.bias is None and pointwise.bias is None
    assert isinstance(norm, nn.BatchNorm2d) and norm.num_features == 16
    assert isinstance(relu, nn.ReLU)
    assert isinstance(dropout, nn.Dropout2d) and dropout.p == 0.3
    assert DSConvBlock(8, 16, stride=2)(torch.rand(2, 8, 32, 32)).shape == (2, 16, 16, 16)


def test_a_separable_block_can_pool_at_its_end() -> None:
    pooled, plain = (DSConvBlock(6, 16, pool=pool).eval() for pool in (True, False))
    plain.load_state_dict(pooled.state_dict())
    images = torch.randn(8, 6, 10, 10)
    assert torch.equal(pooled(images), nn.MaxPool2d(2)(plain(images)))


@pytest.mark.parametrize("name", STATED)
def test_the_coursework_s_networks_are_textbook_code(name: str) -> None:
    """PyTorch's own layers, none of which works in place."""
    for layer in build_model(name).modules():
        assert not getattr(layer, "inplace", False)
        own = type(layer).__module__.startswith("cifar_lab.models")
        assert own or type(layer).__module__.startswith("torch.nn.modules")


def test_normalize_is_torchvision_s_and_has_no_parameters() -> None:
    images = torch.rand(4, 3, 8, 8)
    normalize = Normalize(CIFAR100_MEAN, CIFAR100_STD)
    expected = TorchvisionNormalize(CIFAR100_MEAN, CIFAR100_STD)(images)
    torch.testing.assert_close(normalize(images), expected)
    assert count_parameters(normalize) == 0


def test_frozen_and_shared_parameters_count_once_each() -> None:
    shared = nn.Linear(5, 5)
    model = nn.Sequential(shared, nn.Linear(5, 2).requires_grad_(False), shared)
    assert count_parameters(model) == (5 * 5 + 5) + (5 * 2 + 2)


def test_macs_equal_a_hand_count() -> None:
    assert count_macs(SimpleMLP()) == 3072 * 100 + 100 * 10
    skeleton = 32 * 32 * 8 * (9 * 3) + 32 * 32 * 16 * (9 * 8) + 16 * 16 * 16 * 10
    assert count_macs(SkeletonConvNet()) == skeleton
    separable = 32 * 32 * (9 * 8) + 32 * 32 * 8 * 16
    assert count_macs(DSConvBlock(8, 16), image_shape=(8, 32, 32)) == separable


@pytest.mark.parametrize("training", [True, False])
def test_counting_macs_leaves_the_model_as_it_was(training: bool) -> None:
    model = build_model("resnet-small").train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_macs(model)
    assert model.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_counting_the_macs_of_a_model_whose_layers_do_not_fit_says_so() -> None:
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(3000, 10))
    with pytest.raises(ValueError, match=r"can't take images of shape \(1, 3, 32, 32\)"):
        count_macs(wrong)


def test_training_costs_three_times_the_forward_pass_of_all_but_the_first_layer() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 10))
    flops = count_training_flops(model, (3, 2, 2))
    assert flops == 2 * (2 * 12 * 5 + 3 * 5 * 10)  # no gradient of the images


def test_a_convolution_s_groups_count_in_both_directions() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 64, 2),
    )
    pointwise, depthwise, linear = 64 * 3 * 4, 64 * 4 * 9, 4 * 64 * 2
    flops = count_training_flops(model, (3, 8, 8))
    assert flops == 2 * (2 * pointwise + 3 * depthwise + 3 * linear)


def test_frozen_weights_cost_no_gradient() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1).requires_grad_(False), nn.Flatten(), nn.Linear(16, 2))
    assert count_training_flops(model, (3, 2, 2)) == 2 * (4 * 3 * 4 + 2 * 16 * 2)


def test_counting_training_leaves_no_trace() -> None:
    model = build_model("smallcifarnet", 100)
    model.eval()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    drawn = torch.rand(1)
    torch.manual_seed(0)
    count_training_flops(model)
    assert torch.equal(torch.rand(1), drawn)
    assert not model.training
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_training_is_counted_inside_no_grad_too(guard: Any) -> None:
    model = build_model("skeleton")
    expected = count_training_flops(model)
    with guard():
        assert count_training_flops(model) == expected


def test_a_model_in_another_number_format_is_counted() -> None:
    model = build_model("skeleton")
    macs, flops = count_macs(model), count_training_flops(model)
    model.double()
    assert (count_macs(model), count_training_flops(model)) == (macs, flops)


@pytest.mark.parametrize("model", [nn.Flatten(), nn.Linear(3072, 10).requires_grad_(False)])
def test_a_model_without_anything_to_train_is_named(model: nn.Module) -> None:
    with pytest.raises(
        ValueError, match="no parameter that requires a gradient; expected at least one"
    ):
        count_training_flops(model)


def test_counting_leaves_no_trace_in_what_a_model_keeps() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3072, 10)
            self.kept: list[torch.Tensor] = []
            self.draws = torch.Generator()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if not hasattr(self, "late"):
                self.register_buffer("late", torch.zeros(1))
            self.kept.append(torch.rand(1, generator=self.draws))
            return self.head(images.flatten(1))

    model = Keeping()
    state = model.draws.get_state()
    count_macs(model)
    count_training_flops(model)
    assert not model.kept
    assert "late" not in dict(model.named_buffers())
    assert torch.equal(model.draws.get_state(), state)


def test_the_products_of_attention_are_counted() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = images.flatten(1)[:, :32].reshape(-1, 4, 8)
            return self.layer(tokens, tokens, tokens, need_weights=False)[0].flatten(1)

    projections = 4 * (3 * 8 * 8 + 8 * 8)  # of four tokens: three on the way in, one on the way out
    products = 2 * 4 * 4 * 8  # queries with keys, and weights with values
    assert count_macs(Attends()) == projections + products
    # The images need no gradient, but the tokens' first layer has weights alone to train.
    assert count_training_flops(Attends()) == 2 * (3 * (projections + products) - 3 * 4 * 8 * 8)
