"""Accelerated training against plain training of the same network, a custom one included."""

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
from cifar_lab.models.layout import Layout
from cifar_lab.training.acceleration import Acceleration, find_acceleration
from cifar_lab.training.faster_layers import FasterSequential
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe

FAST = Recipe(1, 8, "sgd", 0.05, channels_last=True)
IMAGES = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def layers() -> list[nn.Module]:
    """Return layers of which two pairs can be computed together."""
    return [
        nn.Conv2d(3, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Dropout2d(0.2),
        nn.MaxPool2d(2),
    ]


class Own(nn.Module):
    """A sequence of layers, then layers as attributes, called one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers())
        self.conv = nn.Conv2d(32, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Any:
        x = functional.relu(self.bn(self.conv(self.features(x))))
        return self.fc(functional.adaptive_avg_pool2d(x, 1).view(x.size(0), -1))


class TakesThemOutOfTheSequence(Own):
    """What is inside the sequence is needed elsewhere too, where the trial can't see it yet."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        before_pooling = self.features[:3](x)
        after = self.features[4](self.features[3](before_pooling))
        x = after + self.gate * functional.avg_pool2d(before_pooling, 2)
        return self.fc(self.bn(self.conv(x)).mean(dim=(2, 3)))


class AuxiliaryHead(Own):
    """In training a second head reads features on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Any:
        features = self.features[2](self.features[1](self.features[0](x)))
        logits = self.fc(self.bn(self.conv(functional.max_pool2d(features, 2))).mean(dim=(2, 3)))
        return (logits, self.aux(features.mean(dim=(2, 3)))) if self.training else logits


class OtherPathInEvaluation(Own):
    """Pooling and the norm are for training alone."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x) if self.training else functional.avg_pool2d(self.features[0](x), 2)
        return self.fc(self.bn(self.conv(x)).mean(dim=(2, 3)))


class FrozenNorm(Own):
    """Its first norm stays in eval mode, with the statistics that it has."""

    def train(self, mode: bool = True) -> FrozenNorm:
        super().train(mode)
        self.features[1].eval()
        return self


class LeakyForward(Own):
    """A layer's `forward` is the student's own."""

    def __init__(self) -> None:
        super().__init__()
        self.features[2].forward = lambda x: functional.leaky_relu(x, 0.5)


class DropsByChance(Own):
    """It takes another path in some steps, and after some steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        chosen = float(torch.rand(())) < 0.6 and self.steps < 4
        x = self.features(x) if chosen else functional.avg_pool2d(self.features[:3](x), 2)
        return self.fc(self.bn(self.conv(x)).mean(dim=(2, 3)))


NETWORKS = [
    Own,
    TakesThemOutOfTheSequence,
    AuxiliaryHead,
    OtherPathInEvaluation,
    FrozenNorm,
    LeakyForward,
    DropsByChance,
]


def found(model: nn.Module, images: Tensor = IMAGES) -> Acceleration:
    return find_acceleration(FAST, model, images)


@pytest.mark.parametrize("build", NETWORKS)
def test_accelerated_training_is_plain_training_but_for_rounding(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = build().double()  # in which rounding hides nothing
    twin = copy.deepcopy(model)
    images = IMAGES.double()
    acceleration = found(model, images)
    assert acceleration.sequences == (build is not DropsByChance)  # whose logits no trial compares
    results = []
    for each, way in ((model, acceleration), (twin, Acceleration())):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.05, momentum=0.9)
        torch.manual_seed(1)
        seen = []
        with way.within(each):
            for _ in range(6):
                each.train()
                optimizer.zero_grad()
                outputs = each(images)
                for logits in outputs if isinstance(outputs, tuple) else (outputs,):
                    functional.cross_entropy(logits, torch.arange(8)).backward(retain_graph=True)
                optimizer.step()
                each.eval()
                seen.append(each(images).detach())
        results.append([*each.parameters(), *each.buffers(), *seen])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8)


def test_layers_of_custom_classes_are_computed_one_by_one() -> None:
    model = nn.Sequential(*layers())
    calls: list[str] = []

    def noting(kind: type[nn.Module]) -> type[nn.Module]:
        def forward(self: Any, x: Tensor) -> Tensor:
            calls.append(kind.__name__)
            return kind.forward(self, x)

        return type(kind.__name__, (kind,), {"forward": forward})

    for layer in model:
        layer.__class__ = noting(type(layer))
    model.__class__ = FasterSequential
    model(IMAGES)
    assert calls == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout2d", "MaxPool2d"]


@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True)])
def test_pooling_comes_before_relu_to_the_bit(relu: nn.ReLU) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), relu, nn.MaxPool2d(2), nn.Flatten())
    expected = model(IMAGES)
    sizes: list[int] = []
    faster = copy.deepcopy(model)
    faster.__class__ = FasterSequential
    assert torch.equal(faster(IMAGES), expected)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.shape[-1]) or tensor, lambda tensor: tensor
    ):
        faster(IMAGES)
    assert 7 in sizes, "the ReLU works on pooled features"


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("frontier")])
def test_the_coursework_s_networks_are_trained_but_for_rounding(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 10)
    images = torch.rand(4, 3, 32, 32)
    way = found(model, images)
    assert way.sequences == (name != "mlp")
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
        assert any(type(each) is FasterSequential for each in model.modules())
        assert dict(model.named_parameters()) == parameters
        raise ZeroDivisionError
    assert repr(model) == shown
    assert not any(type(each) is FasterSequential for each in model.modules())
    assert [set(each.__dict__) for each in model.modules()] == attributes
    assert all(parameters[name] is each for name, each in model.named_parameters())


def test_copies_made_in_training_compute_the_same() -> None:
    torch.manual_seed(0)
    model = Own()
    file = io.BytesIO()
    with found(model).within(model):
        twin = copy.deepcopy(model)
        part = copy.deepcopy(model.features)
        torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for each in (twin, loaded):
        torch.manual_seed(1)
        expected = model(IMAGES)
        torch.manual_seed(1)
        torch.testing.assert_close(each(IMAGES), expected, rtol=1e-4, atol=1e-5)
    torch.manual_seed(1)
    mine = part(IMAGES)
    torch.manual_seed(1)
    torch.testing.assert_close(mine, model.features(IMAGES), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("epoch", [0, 1])
def test_hooks_see_what_the_plain_network_computes(epoch: int, train: ImageSet) -> None:
    """Also those that come between two epochs."""
    torch.manual_seed(0)
    model, seen = Own(), []

    def watch(record: Any = None) -> None:
        if (record.epoch if record else 0) == epoch:
            relu = model.features[2]
            relu.register_forward_hook(lambda layer, given, out: seen.append((given[0], out)))

    watch()
    fit(model, train, replace(FAST, epochs=2), device="cpu", on_epoch=watch, progress=False)
    before, after = seen[0]
    assert before.shape[-1] == 32 and float(before.min()) < 0
    assert torch.equal(after, before.clamp(min=0))


def test_copies_and_exports_between_epochs_are_of_the_plain_network(train: ImageSet) -> None:
    torch.manual_seed(0)
    model = Own()
    plain = repr(model)
    shown: list[str] = []

    def look(record: Any) -> None:
        twin = copy.deepcopy(model)
        shown.append(repr(twin))
        assert export_program(twin.eval())
        torch.save(model, io.BytesIO())

    recipe = Recipe(2, 16, "adam", 1e-3, channels_last=True, ema_decay=0.9)
    fit(model, train, recipe, device="cpu", on_epoch=look, progress=False)
    assert shown == [plain, plain]


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.jit.script(model.features)])
def test_networks_in_wrappers_keep_their_layers(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = wrap(Own())
    with found(model).within(model):
        assert not any(type(each) is FasterSequential for each in model.modules())


def test_a_recipe_that_asks_for_nothing_gets_plain_layers() -> None:
    plain = Recipe(1, 8, "sgd", 0.05)
    assert find_acceleration(plain, Own(), IMAGES) == Acceleration()


@pytest.mark.parametrize(
    "watch",
    [
        lambda model, seen: model.fc.weight.register_hook(seen.append),
        lambda model, seen: model.fc.register_full_backward_pre_hook(lambda *_: seen.append(1)),
        lambda model, seen: model.fc.weight.register_post_accumulate_grad_hook(seen.append),
    ],
)
def test_gradients_that_hooks_watch_are_left_alone(watch: Callable[..., Any]) -> None:
    model, seen = Own(), []
    watch(model, seen)
    assert not found(model).sequences and not seen


def test_a_network_that_needs_plain_memory_keeps_its_layers(capsys: Any) -> None:
    class ReadsStrides(Own):
        def forward(self, x: Tensor) -> Tensor:
            x = self.features(x)
            return self.fc(x.as_strided((len(x), 8), (x[0].numel(), 1)))

    assert found(ReadsStrides()) == Acceleration(Layout.PLAIN)
    assert "ReadsStrides can't compute on channels-last" in capsys.readouterr().out
