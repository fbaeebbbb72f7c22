"""Networks as programs: whatever style they are written in, whatever was done with them."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

import cifar_lab
from cifar_lab.models.export import export_program


def check_program(model: nn.Module) -> None:
    """It gives what the network gives, for any number of images, with gradients everywhere."""
    program: Any = torch.export.load(io.BytesIO(export_program(model))).module()
    model.eval()
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 32, 32)
        torch.testing.assert_close(program(images), model(images), rtol=1e-4, atol=1e-5)
    program(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(weight.grad is not None for weight in program.parameters())


@pytest.mark.parametrize("name", cifar_lab.MODELS)
def test_the_library_s_networks_are_exported(name: str) -> None:
    model = cifar_lab.build_model(name).eval()
    program = torch.export.load(io.BytesIO(export_program(model))).module()
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 32, 32)
        torch.testing.assert_close(program(images), model(images), rtol=1e-4, atol=1e-5)


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
        )
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


class CountsByLen(Base):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).view(len(images), -1))


class CountsByInt(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).reshape(int(x.shape[0]), -1))


class Unpacks(Base):
    def forward(self, x: Tensor) -> Tensor:
        number, channels, height, width = x.size()
        return self.head(self.features(x).reshape(number, -1))


class KeepsActivations(Base):
    def __init__(self) -> None:
        super().__init__()
        self.all: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.features(x)
        self.by_name = {"features": self.last}
        return self.head(self.last.flatten(1))


class KeepsAndCounts(Base):
    def forward(self, x: Tensor) -> Tensor:
        self.last = self.features(x)
        return self.head(self.last.view(len(x), -1))


class Starred(Base):
    def forward(self, *inputs: Tensor, **options: Any) -> Tensor:
        return super().forward(inputs[0])


class WithTargets(Base):
    def forward(self, x: Tensor, targets: Tensor | None = None) -> Any:
        logits = super().forward(x)
        return logits if targets is None else (logits, functional.cross_entropy(logits, targets))


class HooksGradients(Base):
    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        if features.requires_grad:
            features.register_hook(lambda gradient: gradient)
        return self.head(features.flatten(1))


def with_forward_hook() -> Base:
    model, seen = Base(), {}
    model.features.register_forward_hook(lambda module, args, out: seen.update(last=out.detach()))
    return model


def with_part(wrap: Any) -> Base:
    model = Base()
    model.features = wrap(model.features)
    return model


def compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager")


def compiled_in_place() -> Base:
    model = Base()
    model.compile(backend="eager")
    model.features[0].compile(backend="eager")
    return model


def linear(wrap: Any) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), wrap(nn.Linear(3072, 10)))


STYLES: dict[str, Any] = {
    "len": CountsByLen,
    "int": CountsByInt,
    "size": Unpacks,
    "keeps": KeepsActivations,
    "keeps, len": KeepsAndCounts,
    "stars": Starred,
    "targets": WithTargets,
    "gradient hook": HooksGradients,
    "forward hook": with_forward_hook,
    "parallel": lambda: nn.DataParallel(CountsByLen()),
    "averaged": lambda: AveragedModel(KeepsActivations()),
    "compiled": lambda: compiled(Base()),
    "compiled in place": compiled_in_place,
    "compiled part": lambda: with_part(compiled),
    "parallel part": lambda: with_part(nn.DataParallel),
    "old weight norm": lambda: linear(nn.utils.weight_norm),
    "weight norm": lambda: linear(parametrizations.weight_norm),
    "old spectral norm": lambda: linear(nn.utils.spectral_norm),
    "spectral norm": lambda: linear(parametrizations.spectral_norm),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("style", STYLES)
def test_a_network_is_exported_in_whatever_style_it_is_written(style: str) -> None:
    torch.manual_seed(0)
    model = STYLES[style]()
    model.train()(torch.rand(2, 3, 32, 32)).sum().backward()  # it has been trained
    check_program(model)


def test_the_model_is_afterwards_as_it_was() -> None:
    model = KeepsAndCounts()
    model.features[1].eval()
    model(torch.rand(2, 3, 32, 32)).sum().backward()
    model.all = [torch.ones(1)]
    attributes = dict(vars(model))
    modes = [module.training for module in model.modules()]
    weights = [(weight, weight.data_ptr(), weight.grad) for weight in model.parameters()]
    values = [value.clone() for value in model.state_dict().values()]
    with torch.no_grad():
        export_program(model)
    assert vars(model) == attributes and "forward" not in vars(model)
    assert [module.training for module in model.modules()] == modes
    assert all(map(torch.equal, model.state_dict().values(), values))
    for parameter, (weight, memory, gradient) in zip(model.parameters(), weights, strict=True):
        assert parameter is weight and weight.data_ptr() == memory and weight.grad is gradient


@pytest.mark.parametrize("frozen", [True, False])
def test_a_program_has_gradients_where_the_model_has_them(frozen: bool) -> None:
    model = Base()
    model.features.requires_grad_(not frozen)
    with torch.no_grad():
        program = torch.export.load(io.BytesIO(export_program(model)))
    trained = {name for name, weight in program.named_parameters() if weight.requires_grad}
    assert trained == {name for name, each in model.named_parameters() if each.requires_grad}


class OnlyForTwo(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1) if len(x) == 2 else torch.zeros(1, 16))


class Looks(Base):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize("network", [OnlyForTwo, Looks])
def test_what_can_not_be_a_program_for_any_number_of_images_is_an_error(
    network: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exception, match="."):
        export_program(network())
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.gpu
def test_a_model_on_a_gpu_is_exported_and_stays_there() -> None:
    model = Base().cuda()
    memory = [tensor.data_ptr() for tensor in model.state_dict().values()]
    program = torch.export.load(io.BytesIO(export_program(model)))
    assert all(tensor.device.type == "cpu" for tensor in program.state_dict.values())
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == memory
    images = torch.rand(3, 3, 32, 32)
    expected = model.eval()(images.cuda()).cpu()
    torch.testing.assert_close(program.module()(images), expected, rtol=1e-3, atol=1e-4)
