from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.models import MODELS, build_model
from cifar_lab.models.counting import count_macs, count_parameters
from cifar_lab.reporting.network.operations import IMAGE
from cifar_lab.reporting.network.rows import build_levels, layer_rows
from cifar_lab.reporting.network.trace import trace


class Student(nn.Module):
    """As students write it: functions between layers, a shortcut, a view."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(16 * 16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == 3 and x.sum() > -1
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = x + self.drop(functional.relu(self.conv2(x)))
        return self.fc(x.view(x.size(0), -1))


def test_functions_and_layers_are_found_in_their_order() -> None:
    rows = build_levels(trace(Student())).rows
    assert [(row.label, row.shape, row.sources) for row in rows] == [
        ("Conv2d 3×3 · relu", (16, 32, 32), [IMAGE]),
        ("max_pool2d 2×2", (16, 16, 16), [0]),
        ("Conv2d 3×3 · relu · Dropout", (16, 16, 16), [1]),
        ("+", (16, 16, 16), [1, 2]),
        ("view", (4096,), [3]),
        ("Linear", (10,), [4]),
    ]
    # By hand: 3 x 16 x 9 + 16, 16 x 16 x 9 + 16, 4096 x 10 + 10.
    assert [row.parameters for row in rows] == [448, 0, 2320, 0, 0, 40970]


NETWORKS = {name: lambda name=name: build_model(name) for name in MODELS} | {
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "densenet121": lambda: torchvision.models.densenet121(num_classes=10),
    "mobilenet": lambda: torchvision.models.mobilenet_v3_small(num_classes=10),
    "transformer": lambda: torchvision.models.VisionTransformer(
        32, 4, 2, 2, 64, 128, num_classes=10
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_rows_cost_is_what_the_network_costs(name: str) -> None:
    model = NETWORKS[name]()
    traced = trace(model)
    # In eval mode PyTorch has a faster way for attention, of which it counts no operations.
    parameters, macs = count_parameters(model), count_macs(model)
    macs = traced.macs if name == "transformer" else macs
    for rows in (build_levels(traced).rows, layer_rows(traced)):
        assert sum(row.parameters for row in rows) == parameters
        assert sum(row.macs for row in rows) == macs


def test_blocks_are_told_apart_by_what_is_inside_not_by_size() -> None:
    level = build_levels(trace(build_model("resnet-small")))
    assert [(row.label, row.repeats) for row in level.rows] == [
        ("BottleneckResBlock (a)", 1),
        ("BottleneckResBlock (b)", 1),
        ("MaxPool2d 2×2", 1),
        ("BottleneckResBlock (a)", 1),
        ("BottleneckResBlock (b)", 2),
        ("AdaptiveAvgPool2d", 1),
        ("Flatten", 1),
        ("Linear", 1),
    ]
    changing, keeping = level.rows[0].inside, level.rows[1].inside
    assert changing is not None and keeping is not None
    assert [row.sources for row in changing.rows] == [[IMAGE], [0], [1], [IMAGE], [2, 3]]
    assert [row.sources for row in keeping.rows] == [[IMAGE], [0], [1], [IMAGE, 2]]
    assert keeping.input_shape == (16, 32, 32)


def test_passes_with_shared_weights_are_one_group() -> None:
    (stage,) = build_levels(trace(build_model("frontier-tiny"))).blocks
    assert stage.groups == [(3, 5, 3)]
    first, second, third = stage.rows[3:6]
    assert first.shares and second.shares and third.label == "+"
    # By hand: 32 x 9; 32 x 32 and, for each of three passes, batch norm's 64.
    assert (first.parameters, second.parameters) == (288, 1024 + 3 * 64)


def test_a_repeat_that_something_else_looks_into_is_not_folded() -> None:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            first = self.convs[0](x)
            return self.convs[2](self.convs[1](first)) + first

    rows = build_levels(trace(Looking())).rows
    assert [(row.repeats, row.sources) for row in rows] == [
        (1, [IMAGE]), (2, [0]), (1, [0, 1]),
    ]  # fmt: skip


class Bare(nn.Module):
    """Parameters that no layer holds, changed before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10, 3072))
        self.scale = nn.Parameter(torch.ones(10, 1))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.flatten(1), self.weight * self.scale)


class Deciding(nn.Module):
    """Control flow that depends on the values, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3072, 10)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        flat = x.view(len(x), -1)
        return {"logits": self.layer(-flat if flat.sum() > 5 else flat), "flat": flat}


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (Bare(), ["flatten", "linear"]),
        (Deciding(), ["view", "Linear"]),
        (nn.Linear(32, 10), ["linear"]),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), ["Flatten", "Linear"]),
        (nn.DataParallel(nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))), ["Flatten", "Linear"]),
        (nn.Identity(), ["Identity"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_any_network_can_be_traced(model: nn.Module, labels: list[str]) -> None:
    rows = build_levels(trace(model)).rows
    assert [row.label for row in rows] == labels
    assert sum(row.parameters for row in rows) == count_parameters(model)


def test_a_compiled_network_can_be_traced() -> None:
    inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 10))
    rows = build_levels(trace(torch.jit.script(inner))).rows
    assert sum(row.parameters for row in rows) == count_parameters(inner)


def test_the_network_stays_as_it_was() -> None:
    model = build_model("resnet-small").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    trace(model)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_can_t_be_traced_is_refused() -> None:
    wrong: Any = Student
    with pytest.raises(TypeError, match="Student is a class"):
        trace(wrong)
    with pytest.raises(ValueError, match="can't take images of shape"):
        trace(Student(), (3, 28, 28))
