"""Indices of images in every form: lists, ranges, arrays, tensors, masks and slices."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Indices = Tensor | np.ndarray | Sequence[int] | Sequence[bool] | slice
EXPECTED = "expected whole numbers or a mask of True and False, in a tensor, list, range or array"


def as_place(index: Any) -> int | None:
    """Return a single index as an `int`, also one of numpy or a tensor; None for several."""
    if isinstance(index, Tensor | np.ndarray) and index.ndim > 0:
        return None
    try:
        return operator.index(index)
    except TypeError:
        return None


def as_places(indices: Indices, count: int) -> Tensor:
    """Return indices among `count` items as an int64 tensor, in their order, all at least 0.

    Raises:
        TypeError: The indices are neither whole numbers nor a mask.
        IndexError: There is no item at an index, or a mask has another length than `count`.
    """
    if isinstance(indices, slice):
        return torch.tensor(range(count)[indices], dtype=torch.int64)
    if isinstance(indices, Tensor):
        places = indices.detach().cpu()
    elif isinstance(indices, str | bytes | dict | set | frozenset):
        raise TypeError(f"The indices are a {type(indices).__name__}; {EXPECTED}.")
    else:
        places = _from_array(indices)
    if places.ndim == 1 and len(places) == 0:
        return torch.tensor([], dtype=torch.int64)
    if places.ndim != 1 or places.is_floating_point() or places.is_complex():
        raise TypeError(
            f"The indices are {places.dtype} of shape {tuple(places.shape)}; {EXPECTED}."
        )
    if places.dtype == torch.uint8 and isinstance(indices, Tensor):
        raise TypeError(
            "The indices are torch.uint8, which PyTorch once took for a mask; expected a mask "
            "(indices.bool()) or whole numbers (indices.long())."
        )
    return torch.arange(count)[places if places.dtype == torch.bool else places.long()]


def _from_array(indices: Any) -> Tensor:
    """Return a list, a range or an array as a tensor."""
    array = np.asarray(indices)
    if array.dtype.kind not in "biu" and array.size:
        raise TypeError(f"The indices are a {type(indices).__name__} of {array.dtype}; {EXPECTED}.")
    return torch.from_numpy(array.astype(bool if array.dtype.kind == "b" else np.int64))
