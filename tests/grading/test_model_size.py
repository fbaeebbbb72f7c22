"""What counts towards the limit: numbers, wherever they are kept and however they are packed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from handed_in.making import HandedIn, code
from torch import Tensor, nn

from cifar_lab.grading.checks.table import CHECKS
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.sandboxed.model_size import size_of_module, size_of_program
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import SubmissionError
from cifar_lab.models.export import export_program


class Holding(nn.Module):
    """A linear layer of 30,730 numbers, and a tensor that its output depends on."""

    def __init__(self, held: Tensor, use: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(3072, 10)
        self.use = use
        if isinstance(held, nn.Parameter):
            self.held = held
        else:
            self.register_buffer("held", held)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1)) + self.use(self.held)


class Rereading(nn.Module):
    """A layer that reads the bits of its images, which is no storage for weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3072, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1)) + images.view(torch.int32).float().mean()


def mean(held: Tensor) -> Tensor:
    return held.float().mean()


def bytes_of(held: Tensor) -> Tensor:
    return held.view(torch.int8).float().mean()


def shifted(held: Tensor) -> Tensor:
    return ((held >> 8) & 255).float().mean()


BIG = torch.randint(-(2**62), 2**62, (1000,), generator=torch.Generator().manual_seed(0))
HELD: dict[str, tuple[Callable[[], nn.Module], int]] = {  # the network, and numbers beside it
    "a float is one": (lambda: Holding(torch.randn(1000), mean), 1000),
    "a double is one": (lambda: Holding(torch.randn(1000, dtype=torch.float64), mean), 1000),
    "eight bytes in a whole number": (lambda: Holding(BIG, bytes_of), 8000),
    "the same, by shifts": (lambda: Holding(BIG, shifted), 8000),
    "an index in a whole number": (lambda: Holding(torch.arange(1000) % 225, mean), 1000),
    "a truth": (lambda: Holding(torch.ones(1000, dtype=torch.bool), mean), 1000),
    "bytes in a float": (lambda: Holding(torch.randn(1000), bytes_of), 4000),
    "a complex parameter is two": (
        lambda: Holding(
            nn.Parameter(torch.randn(500, dtype=torch.complex64)), lambda z: z.abs().sum()
        ),
        500,
    ),
    "bits of images": (Rereading, 0),
}


@pytest.mark.parametrize("name", HELD)
def test_bits_that_hold_numbers_count_as_such(name: str) -> None:
    make, expected = HELD[name]
    model = make().eval()
    program = torch.export.load(io.BytesIO(export_program(model, 32)))
    for size in (size_of_program(program), size_of_module(model, torch.rand(2, 3, 32, 32))):
        assert size["constants"] == expected
        assert size["parameters"] == sum(one.numel() for one in model.parameters())
        assert size["statistics"] == 0


def test_bytes_of_a_copy_of_weights_count_too() -> None:
    model = Holding(torch.randn(1000), lambda held: bytes_of(held.reshape(10, 100).clone())).eval()
    program = torch.export.load(io.BytesIO(export_program(model, 32)))
    assert size_of_program(program)["constants"] == 4000


@pytest.mark.parametrize(
    ("stored", "owner"),
    [
        ({"file": "w.pt", "numbers": 400_000}, "parameter_count"),
        ({"file": "w.pt", "numbers": 300_000}, "notebook_runs"),
        ({}, "notebook_runs"),
    ],
)
def test_without_a_model_its_weights_may_be_too_many(
    stored: dict[str, Any], owner: str, tmp_path: Path
) -> None:
    folder = HandedIn({"only": code("pass")}, None).write(tmp_path / "a")
    evidence = Evidence(folder, Settings("a", max_parameters=400_000))

    def look() -> dict[str, Any]:
        raise SubmissionError("notebook_runs", "A cell failed.", "Fix it.")

    evidence.look = look  # type: ignore[method-assign]
    evidence.stored_weights = lambda: stored  # type: ignore[method-assign]
    with pytest.raises(SubmissionError) as refused:
        CHECKS["parameter_count"](evidence)
    assert refused.value.owner == owner
