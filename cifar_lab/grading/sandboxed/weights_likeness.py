"""Whose weights these are: a digest of their numbers, and a comparison with the package's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import cifar_lab

SHIPPED = Path(cifar_lab.__file__).parent / "experiments" / "weights"
# Weights that were drawn and trained apart have nothing in common; a few epochs more change little.
LEAST_COSINE = 0.9
MOST_NUMBERS = 50_000_000  # a file may claim any size
LEAST_NUMBERS = 1_000  # that are compared: fewer may be alike by chance, or by design


def digest_of_numbers(tensors: Iterable[Tensor]) -> str:
    """Return a text that is the same for the same numbers, whatever their names and order.

    It is "" without any, and where they are too many. Counters don't count.
    """
    some = [each for each in tensors if each.is_floating_point() or each.is_complex()]
    if sum(each.numel() for each in some) > MOST_NUMBERS:
        return ""
    parts = []
    for tensor in some:
        values = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
        numbers = values.detach().to(torch.float32).contiguous().numpy()
        parts.append(hashlib.sha256(repr(numbers.shape).encode() + numbers.tobytes()).digest())
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest() if parts else ""


def shipped_weights_like(tensors: Iterable[Tensor]) -> str:
    """Return the name of the package's weights that these are, or began as; "" without any."""
    mine = _weights(tensors)
    for path in sorted(SHIPPED.glob("*.pt")):
        theirs = _weights(torch.load(path, map_location="cpu", weights_only=True).values())
        is_alike = list(map(_shape, mine)) == list(map(_shape, theirs))
        if is_alike and _cosine(_joined(mine), _joined(theirs)) >= LEAST_COSINE:
            return path.stem
    return ""


def _weights(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return the filters and matrices, by their shapes: names and the order of layers may differ.

    Norms and biases are left out: they begin alike in all networks.
    """
    some = [each.detach() for each in tensors if each.is_floating_point() and each.ndim > 1]
    return sorted(some, key=_shape)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.flatten().double() for each in tensors])


def _cosine(mine: Tensor, theirs: Tensor) -> float:
    norms = float(mine.norm() * theirs.norm())
    return float(mine @ theirs) / norms if len(mine) >= LEAST_NUMBERS and norms > 0 else 0.0
