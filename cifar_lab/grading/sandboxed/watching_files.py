"""The files that a notebook stores and loads, and the weights in them."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
FILES_KEPT = 20


class Files:
    """The arguments of `torch.save` and `torch.load`.

    Attributes:
        named: Pairs of "save" or "load" and the file's name, of the last calls, in order.
        saved: Digests of the weights that a file held last, by file and shapes.
    """

    def __init__(self) -> None:
        self.named: deque[list[str]] = deque(maxlen=FILES_KEPT)
        self.saved: dict[str, str] = {}

    def see_save(self, content: Any, file: Any) -> None:
        """Note the file and the weights, before `torch.save`."""
        self._see("save", file)
        for state in _states(content):
            shapes = repr({name: list(tensor.shape) for name, tensor in state.items()})
            if "weight" in shapes:
                network = hashlib.sha256(shapes.encode()).hexdigest()[:16]
                self.saved[f"{file} {network}"] = digest(
                    tensor for name, tensor in state.items() if not name.endswith(STATISTICS)
                )

    def see_load(self, file: Any) -> None:
        """Note the file, before `torch.load`."""
        self._see("load", file)

    def _see(self, kind: str, file: Any) -> None:
        name = getattr(file, "name", file)
        if isinstance(name, str | os.PathLike):
            self.named.append([kind, Path(name).name])


def _states(content: Any) -> list[dict[str, Tensor]]:
    """Return a state_dict, or those in a checkpoint, whose figures may differ with test images."""
    if not isinstance(content, dict):
        return []
    inside = [part for part in content.values() if isinstance(part, dict)]
    return [
        state
        for state in (content, *inside)
        if state and all(torch.is_tensor(value) for value in state.values())
    ]


def digest(tensors: Any) -> str:
    """Return a text that is the same for tensors that are equal to the bit."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
