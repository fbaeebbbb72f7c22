"""Plain data: numpy's and PyTorch's numbers as Python's, and JSON."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import torch


def plain(value: Any) -> Any:
    """Return the same value without numpy and PyTorch: numbers, texts, lists and dicts of them.

    Scalars become Python's numbers, arrays and tensors nested lists, mappings and dataclasses
    dicts, tuples lists. Any other value stays as it is.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {_key(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _key(name: Any) -> Any:
    return name.item() if isinstance(name, np.generic) else name


def to_json(content: Any) -> str:
    """Return the content as JSON that every reader accepts, with null for NaN and infinity.

    Raises:
        TypeError: The content holds a value that is not plain data; the message names its type.
    """
    return json.dumps(_finite(plain(content)), indent=1, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def as_whole(name: str, value: Any, at_least: int = 0) -> int:
    """Return a whole number as Python's `int`, also one of numpy or a tensor with one element.

    Raises:
        ValueError: The value is smaller, or no whole number; `True` and 3.0 are none either.
    """
    try:
        number = None if _is_flag(value) else operator.index(value)
    except (TypeError, RuntimeError):
        number = None
    if number is None or number < at_least:
        raise ValueError(f"{name} is {value!r}; expected a whole number, at least {at_least}.")
    return number


def as_number(name: str, value: Any) -> float:
    """Return a number as Python's `int` or `float`, also one of numpy or a one-element tensor.

    A number in less than double precision becomes the one that it is printed as: 0.1 for
    `np.float32(0.1)`.

    Raises:
        ValueError: The value is not a number.
    """
    size = value.numel() if isinstance(value, torch.Tensor) else getattr(value, "size", None)
    number = value.item() if size == 1 else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{name} is {value!r}; expected a number.")
    short = _SHORT.get(str(getattr(value, "dtype", "")).removeprefix("torch."))
    return number if short is None else float(str(short(number)))


_SHORT = {"float32": np.float32, "float16": np.float16, "bfloat16": np.float32}


def as_flag(name: str, value: Any) -> bool:
    """Return True or False as Python's `bool`, also one of numpy or a one-element tensor.

    Raises:
        ValueError: The value is not True or False; 0 and 1 are not either.
    """
    if not _is_flag(value):
        raise ValueError(f"{name} is {value!r}; expected True or False.")
    return bool(value)


def _is_flag(value: Any) -> bool:
    is_tensor = isinstance(value, torch.Tensor) and value.dtype == torch.bool and value.numel() == 1
    return isinstance(value, bool | np.bool_) or is_tensor
