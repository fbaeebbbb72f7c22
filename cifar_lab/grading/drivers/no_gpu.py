"""A GPU in name only: what a notebook sends to one stays on the CPU."""

from __future__ import annotations

import functools
import re
from typing import Any

import torch
from torch import nn

TAKE_A_DEVICE = (
    *("tensor", "as_tensor", "zeros", "ones", "empty", "full", "eye", "arange", "linspace"),
    *("zeros_like", "ones_like", "empty_like", "rand", "randn", "randint", "randperm"),
    *("load", "set_default_device"),
)
SILENT = ("synchronize", "empty_cache", "reset_peak_memory_stats", "set_device")
NO_BYTES = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")


def install() -> None:
    """Take "cuda" for the CPU wherever a device is named."""
    for kind in (torch.Tensor, nn.Module):
        kind.to = _on_cpu(kind.to)
        kind.cuda = lambda self, *arguments, **options: self
    for name in TAKE_A_DEVICE:
        setattr(torch, name, _on_cpu(getattr(torch, name)))
    for name in SILENT:
        setattr(torch.cuda, name, lambda *arguments, **options: None)
    for name in NO_BYTES:
        setattr(torch.cuda, name, lambda *arguments, **options: 0)
    torch.cuda.get_device_name = lambda *arguments, **options: "no GPU: the CPU in its place"


def _on_cpu(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        here = {name: _cpu(value) for name, value in options.items()}
        return function(*map(_cpu, arguments), **here)

    return wrapped


def _cpu(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"cuda(:\d+)?", value):
        return "cpu"
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return value
