"""Accelerated training against plain training of the same network, whoever wrote it."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.data.image_set import ImageSet
from cifar_lab.models import MODELS, SmallCIFARNet, build_model
from cifar_lab.models.export import export_program
from cifar_lab.training.acceleration import Acceleration, find_acceleration
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe

FAST = Recipe(1, 8, "sgd", 0.05, channels_last=True)
IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A network with layers as attributes, called one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.relu1 = nn.ReLU()
        self.drop = nn.Dropout2d(0.2)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))
        x = self.pool1(self.drop(self.relu1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return self.fc(x.view(x.size(0), -1))


class UsesItTwice(Own):
    """What the convolution and the norm give is needed elsewhere too."""

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv1(x)
        second = self.bn1(first)
        third = self.relu1(second)
        x = self.pool1(third) + self.pool1(second) + first.mean(dim=(2, 3), keepdim=True)
        return self.fc(self.bn2(self.conv2(x)).flatten(1))


class OneRelu(nn.Module):
    """One ReLU for all places, one of them on the images themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(self.relu(x - 0.5))).mean(dim=(2, 3)))


def names_of(changes: Any) -> list[str]:
    return sorted(type(getattr(change, "together", change)).__name__ for change in changes)


def found(model: nn.Module, images: Tensor = IMAGES) -> Acceleration:
    return find_acceleration(FAST, model, images)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (Own, ["ConvNorm", "PoolFirst"]),
        (UsesItTwice, []),
        (OneRelu, []),
        (lambda: nn.Sequential(*Own().children())[:4], ["ConvNorm"]),
    ],
    ids=["own", "used twice", "one relu", "sequential"],
)
def test_layers_are_known_by_what_follows_what(
    build: Callable[[], nn.Module], expected: list[str]
) -> None:
    torch.manual_seed(0)
    model = build()
    if isinstance(model, nn.Sequential):
        model.append(nn.Flatten()).append(nn.Linear(32 * 256, 10))
    assert names_of(found(model).changes) == expected


def test_a_relu_that_works_in_place_already_is_pooled_before_too() -> None:
    conv = nn.Conv2d(3, 8, 3)
    head = (nn.Flatten(), nn.Linear(8 * 49, 10))
    model = nn.Sequential(conv, nn.ReLU(inplace=True), nn.MaxPool2d(2), *head)
    assert names_of(found(model).changes) == ["PoolFirst"]
    with found(model).within(model):
        assert model[1].inplace
    assert model[1].inplace


@pytest.mark.parametrize("build", [Own, UsesItTwice, OneRelu])
def test_accelerated_training_is_plain_training_but_for_rounding(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = build().double()  # in which rounding hides nothing
    twin = copy.deepcopy(model)
    images = IMAGES.double()
    accelerated = found(model, images)
    results = []
    for each, way in ((model, accelerated), (twin, Acceleration())):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.05, momentum=0.9)
        torch.manual_seed(1)
        each.train()
        with way.within(each):
            for _ in range(5):
                optimizer.zero_grad()
                loss = functional.cross_entropy(each(images), torch.arange(8) % 10)
                loss.backward()
                optimizer.step()
        results.append([*each.parameters(), *each.buffers()])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("frontier")])
def test_the_coursework_s_networks_are_trained_but_for_rounding(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 10)
    images = torch.rand(4, 3, 32, 32)
    way = found(model, images)
    assert way.changes or name == "mlp"
    logits, gradients = [], []
    for acceleration in (Acceleration(), way):
        torch.manual_seed(1)
        with acceleration.within(model.train()):
            logits.append(model(images))
            found_now = torch.autograd.grad(logits[-1].pow(2).mean(), list(model.parameters()))
        gradients.append(torch.cat([each.flatten() for each in found_now]))
    torch.testing.assert_close(*logits, rtol=1e-3, atol=1e-4)
    # A value that rounding moves across zero opens or closes a ReLU.
    assert (gradients[0] - gradients[1]).norm() < 0.01 * gradients[0].norm()


def test_afterwards_everything_is_plain_also_after_an_error() -> None:
    model = SmallCIFARNet(10)
    images = torch.rand(4, 3, 32, 32)
    parameters = dict(model.named_parameters())
    shown, attributes = repr(model), [set(each.__dict__) for each in model.modules()]
    way = found(model, images)
    with pytest.raises(ZeroDivisionError), way.within(model):
        assert any("forward" in each.__dict__ for each in model.modules())
        assert dict(model.named_parameters()) == parameters
        raise ZeroDivisionError
    assert repr(model) == shown
    assert [set(each.__dict__) for each in model.modules()] == attributes
    assert all(parameters[name] is each for name, each in model.named_parameters())


def test_a_copy_made_in_training_computes_with_its_own_weights() -> None:
    torch.manual_seed(0)
    model = Own()
    way = found(model)
    assert "ConvNorm" in names_of(way.changes)
    with way.within(model):
        twin = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(7)
        torch.manual_seed(1)
        output = twin(IMAGES)
    assert not output.isnan().any() and float(output.abs().max()) < 7


def test_hooks_see_what_the_plain_network_computes(train: ImageSet) -> None:
    seen = []
    model = Own32()
    model.relu1.register_forward_hook(lambda layer, given, found: seen.append((given[0], found)))
    fit(model, train, FAST, device="cpu", progress=False)
    before, after = seen[0]
    assert float(before.min()) < 0 and torch.equal(after, before.clamp(min=0))


class Own32(Own):
    """For images of 32 x 32."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8 * 256, 10)


def test_a_hook_that_comes_between_epochs_sees_the_plain_network_too(train: ImageSet) -> None:
    torch.manual_seed(0)
    model, seen = Own32(), []

    def watch(record: Any) -> None:
        if record.epoch == 1:
            model.bn1.register_forward_pre_hook(lambda layer, given: seen.append(given[0].shape[1]))

    fit(model, train, replace(FAST, epochs=2), device="cpu", on_epoch=watch, progress=False)
    assert set(seen) == {32}


def test_copies_and_exports_between_epochs_are_of_the_plain_network(train: ImageSet) -> None:
    torch.manual_seed(0)
    model = Own32()
    plain = repr(model)
    shown: list[str] = []

    def look(record: Any) -> None:
        twin = copy.deepcopy(model)
        shown.append(repr(twin))
        assert not any("forward" in layer.__dict__ for layer in twin.modules())
        assert export_program(twin.eval())
        torch.save(model, io.BytesIO())

    recipe = Recipe(2, 16, "adam", 1e-3, channels_last=True, ema_decay=0.9)
    fit(model, train, recipe, device="cpu", on_epoch=look, progress=False)
    assert shown == [plain, plain]


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.jit.script(model)])
def test_networks_in_wrappers_keep_their_layers(wrap: Callable[[nn.Module], nn.Module]) -> None:
    assert not found(wrap(Own())).changes


def test_a_recipe_that_asks_for_nothing_gets_plain_layers() -> None:
    plain = Recipe(1, 8, "sgd", 0.05)
    assert find_acceleration(plain, Own(), IMAGES) == Acceleration()


def test_gradients_that_hooks_watch_are_left_alone() -> None:
    model, seen = Own(), []
    model.fc.weight.register_hook(seen.append)
    assert not found(model).changes and not seen
