"""Operations of a forward pass in one form for all ways to write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# These change nothing that counts: their result is as good as their input.
COPIES = {"clone", "_to_copy", "copy", "_unsafe_view", "lift_fresh", "lift_fresh_copy", "neg"}
ARITHMETIC = {"add", "sub", "mul", "div", "rsub", "neg"}
COMMUTATIVE = {"add", "mul", "maximum", "minimum"}
NEW = {"empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"}

# Settings of training, or of how something is computed.
UNIMPORTANT = frozenset(
    ("eps", "momentum", "training", "train", "inplace", "keepdim", "implicit", "beta")
    + ("dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking")
    + ("cudnn_enabled", "cudnn_benchmark")
)


@dataclass(frozen=True)
class Node:
    """An operation with its settings.

    Attributes:
        operation: The name, the same for all ways to write it.
        settings: All else that changes what is computed, and the size of the result.
        inputs: The places of the nodes that computed its inputs; -1 for a constant.
        commutes: Whether the order of the inputs makes no difference.
    """

    operation: str
    settings: tuple[Any, ...] = ()
    inputs: tuple[int, ...] = ()
    commutes: bool = False


def node_of_call(
    func: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    given: Sequence[Tensor],
    inputs: tuple[int, ...],
    result: Tensor,
) -> Node | int:
    """Return the node of a call, or the place of the input that its result is as good as.

    Args:
        func: The operation, as a dispatch mode sees it.
        args: Its positional arguments.
        kwargs: Its other arguments.
        given: The tensors among the arguments, in order.
        inputs: The places of what computed these, -1 for constants; one at least is none.
        result: The (first) result.
    """
    name = func._schema.name.split("::")[-1]
    if name.endswith("_") and not name.endswith("__"):  # in place
        name = name[:-1]
    computed = [place for place in inputs if place >= 0]
    if name in NEW or name.startswith("new_"):
        return -1
    if name in COPIES or (name in ARITHMETIC and len(computed) == 1):
        return computed[-1]
    named = {one.name: one.default_value for one in func._schema.arguments}
    named |= dict(zip(named, args, strict=False)) | kwargs
    if "convolution" in name:
        return _convolution(named, inputs, result)
    if name in {"mm", "addmm", "linear"} and (product := _linear(name, given, inputs, result)):
        return product
    pooled = _pooling(name, named, result)
    if pooled is not None:
        return Node(pooled[0], (*pooled[1:], _shape(result)), inputs[:1])
    if "batch_norm" in name:
        return Node("batch_norm", (result.numel(),), inputs)
    if _is_relu(name, named):
        return Node("relu", (result.numel(),), inputs[:1])
    settings = tuple(
        (key, _plain(value))
        for key, value in named.items()
        if key not in UNIMPORTANT and _plain(value) not in (None, False, ())
    )
    return Node(name, (settings, result.numel()), inputs, commutes=name in COMMUTATIVE)


def _convolution(named: dict[str, Any], inputs: tuple[int, ...], result: Tensor) -> Node:
    weight = next(value for key, value in named.items() if key.startswith("weight"))
    dimensions = weight.ndim - 2
    settings: list[Any] = [
        _repeated(named.get(key), dimensions)
        for key in ("stride", "padding", "dilation", "output_padding")
    ]
    settings += [bool(named.get("transposed")), named.get("groups", 1), len(inputs) > 2]
    return Node("convolution", (tuple(weight.shape), *settings, _shape(result)), inputs)


def _linear(
    name: str, given: Sequence[Tensor], inputs: tuple[int, ...], result: Tensor
) -> Node | None:
    """Return the node of a linear layer, with or without a bias; the bias is the last input."""
    if name == "addmm":
        given, inputs = (*given[1:], given[0]), (*inputs[1:], inputs[0])
    if name != "linear" and len(given[1].shape) != 2:
        return None
    return Node("linear", (given[0].shape[-1], result.shape[-1], result.numel()), inputs)


def _pooling(name: str, named: dict[str, Any], result: Tensor) -> tuple[Any, ...] | None:
    """Return the kind of pooling, its kernel and all else; None for another operation.

    Pooling over all places is the same however it is written, and so is pooling to a given size
    that divides the image's.
    """
    kind = {"mean": "average", "amax": "max"}.get(name)
    if kind is None and "pool" in name:
        kind = "max" if "max_pool" in name else "average" if "avg_pool" in name else None
    image = named.get("self", named.get("input"))
    if kind is None or not torch.is_tensor(image):
        return None
    if name in {"mean", "amax"}:
        over = named.get("dim") or ()
        over = {each % image.ndim for each in ([over] if isinstance(over, int) else over)}
        if image.ndim < 3 or over != set(range(2, image.ndim)):
            return None
        return kind, "everywhere", tuple(image.shape[1:2])
    if result.shape[2:].numel() == 1 and _covers(named, image):
        return kind, "everywhere", tuple(image.shape[1:2])
    if "adaptive" in name:
        sizes = list(zip(image.shape[2:], result.shape[2:], strict=True))
        if any(before % after for before, after in sizes):
            return kind, "to a size", tuple(image.shape[1:])
        kernel = tuple(before // after for before, after in sizes)
        return kind, kernel, kernel, (0,) * len(kernel), (1,) * len(kernel), False
    dimensions = image.ndim - 2
    kernel = _repeated(named["kernel_size"], dimensions)
    stride = _repeated(named.get("stride"), dimensions) or kernel
    padding = _repeated(named.get("padding", 0), dimensions)
    dilation = _repeated(named.get("dilation", 1), dimensions)
    return kind, kernel, stride, padding, dilation, bool(named.get("ceil_mode"))


def _covers(named: dict[str, Any], image: Tensor) -> bool:
    """Return whether one window of a pooling is the whole image."""
    if "kernel_size" not in named:
        return True
    size = tuple(image.shape[2:])
    return _repeated(named["kernel_size"], len(size)) == size and not any(
        _repeated(named.get("padding", 0), len(size))
    )


def _is_relu(name: str, named: dict[str, Any]) -> bool:
    if name in {"clamp", "clamp_min"}:
        return named.get("min") == 0 and named.get("max") is None
    return name == "relu" or (
        name == "threshold" and named.get("threshold") == 0 and named.get("value") == 0
    )


def _repeated(value: Any, dimensions: int) -> tuple[int, ...]:
    """Return a setting with one number for each dimension."""
    if value is None:
        return ()
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * dimensions if len(numbers) == 1 else numbers


def _shape(result: Tensor) -> tuple[int, ...]:
    return tuple(result.shape[1:])


def _plain(value: Any) -> Any:
    """Return a setting so that it can be compared; None for tensors, which are inputs."""
    if isinstance(value, list | tuple):
        return tuple(each for each in map(_plain, value) if each is not None)
    return value if isinstance(value, int | float | str | bool) else None
