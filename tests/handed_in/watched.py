"""Networks that see the fake images while a watch makes up the answers to test images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.grading.sandboxed.watching import Watch

SEEN = 192  # test images that a shortened pass gives


def in_unit_interval(arrays: dict[str, Any], count: int) -> dict[str, Tensor]:
    drawn = {name: torch.from_numpy(values[:count]) for name, values in arrays.items()}
    return {
        name: values.permute(0, 3, 1, 2).float() / 255 if values.ndim == 4 else values
        for name, values in drawn.items()
    }


@contextmanager
def watched(variant: int = 0, num_classes: int = 10) -> Iterator[Watch]:
    watch = Watch(num_classes, variant)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))


def change(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))


def scores(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Share of right answers, and mean loss."""
    with torch.no_grad():
        logits = model(images)
    right = (logits.argmax(dim=1) == labels).double().mean()
    return float(right), float(functional.cross_entropy(logits.double(), labels))
