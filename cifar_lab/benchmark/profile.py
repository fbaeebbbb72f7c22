"""A profile of a training step: where its time goes, and how fast the device could be."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from cifar_lab.training.precision import AUTOCAST_TYPES
from cifar_lab.utils.devices import wait_for

PARTS = ("data", "forward", "backward", "optimizer", "rest")
MATRIX_TRIES = 20
TYPES = {"fp32": torch.float32, **AUTOCAST_TYPES}


class Stopwatch:
    """A stopwatch that adds up the seconds of each of `PARTS` of a training loop.

    "backward" begins with the loss and ends before the optimizer's step, so clipping is part of it;
    "rest" is all that is in none of the others, such as a moving average of weights.

    Args:
        model: The model that is trained.
        optimizer: Its optimizer.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.device = next(model.parameters()).device
        self.last = 0.0
        model.register_forward_pre_hook(lambda *_: self._mark("rest"))
        model.register_forward_hook(lambda *_: self._mark("forward"))
        optimizer.register_step_pre_hook(lambda *_: self._mark("backward"))
        optimizer.register_step_post_hook(lambda *_: self._mark("optimizer"))

    def batches(self, loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the loader's batches; the time spent waiting for them is "data"."""
        batches = iter(loader)
        batch = next(batches, None)  # starting a DataLoader's workers is no part of a step
        self.last = time.perf_counter()
        while batch is not None:
            yield batch
            self._mark("rest")
            following = next(batches, None)
            if following is not None:  # nor is ending them
                self._mark("data")
            batch = following

    def shares(self) -> dict[str, float]:
        """Return each part's share of the whole, from 0 to 1."""
        total = sum(self.seconds.values())
        return {part: seconds / total for part, seconds in self.seconds.items()}

    def _mark(self, part: str) -> None:
        wait_for(self.device)
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now


def matrix_flops_per_second(device: torch.device, precision: str) -> float:
    """Return the speed of a product of two large matrices on the device, the best of many tries."""
    size = 2048 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(TYPES[precision]) for _ in range(2))
    times = []
    wait_for(device)
    for _ in range(MATRIX_TRIES):
        start = time.perf_counter()
        left @ right
        wait_for(device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)
