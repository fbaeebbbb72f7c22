"""Short texts and kinds for layers and functions, as they stand in a block diagram."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

# The kinds, each with its colour in the diagram; the rest is "other".
KINDS = {
    "convolution": ("conv",),
    "linear": ("linear", "bilinear", "addmm", "matmul"),
    "norm": ("norm",),
    "activation": (
        "relu", "gelu", "silu", "elu", "sigmoid", "tanh", "swish", "mish", "softmax", "softplus",
        "logsigmoid", "softsign", "hardtanh", "threshold", "glu",
    ),
    "dropout": ("dropout", "droppath", "stochasticdepth"),
    "pooling": ("pool", "mean", "amax", "interpolate", "upsample", "pixelshuffle"),
    "reshape": ("flatten", "view", "reshape", "permute", "transpose", "squeeze", "unfold"),
}  # fmt: skip
ARITHMETIC = {"add": "+", "mul": "×", "sub": "−", "truediv": "÷", "div": "÷", "true_divide": "÷"}
ARITHMETIC |= {"subtract": "−", "multiply": "×", "divide": "÷"}
JOINS = ("cat", "concat", "concatenate", "stack")
APPENDED = ("norm", "activation", "dropout", "constant")  # written into the row of what they follow


def describe_module(module: nn.Module) -> tuple[str, str]:
    """Return a layer's text, such as "Conv2d 3×3, depthwise", and its kind."""
    name = type(module).__name__
    kind = _kind(name)
    if isinstance(module, nn.modules.conv._ConvNd):
        parts = [f"{name} {_size(module.kernel_size)}"]
        if any(each != 1 for each in module.stride):
            parts.append(f"stride {_one(module.stride)}")
        if module.groups > 1:
            depthwise = module.groups == module.in_channels
            parts.append("depthwise" if depthwise else f"{module.groups} groups")
        if any(each != 1 for each in module.dilation):
            parts.append(f"dilation {_one(module.dilation)}")
        return ", ".join(parts), kind
    kernel = getattr(module, "kernel_size", None)
    if kind == "pooling" and kernel is not None:
        return f"{name} {_size(kernel)}", kind
    return name, kind


def describe_function(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], several: bool
) -> tuple[str, str]:
    """Return a function's text, such as "max_pool2d 2×2", and its kind.

    Args:
        name: The function's name without leading and closing underscores.
        args: Its arguments.
        kwargs: Its arguments with names.
        several: Whether more than one argument depends on the image.
    """
    plain = name.removeprefix("i") if name[1:] in ARITHMETIC else name
    plain = plain.removeprefix("r") if plain[1:] in ARITHMETIC else plain
    if plain in ARITHMETIC:
        sign = ARITHMETIC[plain]
        if several:
            return sign, "join"
        numbers = [each for each in args if isinstance(each, int | float)]
        return f"{sign} {numbers[0]:g}" if numbers else f"{sign} constant", "constant"
    if plain in JOINS:
        return plain, "join" if several else "other"
    kind = _kind(plain)
    if kind == "convolution" and len(args) > 1 and isinstance(args[1], Tensor):
        return f"{plain} {_size(tuple(args[1].shape[2:]))}", kind
    kernel = kwargs.get("kernel_size", args[1] if len(args) > 1 else None)
    if kind == "pooling" and "adaptive" not in plain and "pool" in plain:
        return f"{plain} {_size(kernel)}", kind
    return {"getitem": "slice"}.get(plain, plain), kind


def _kind(name: str) -> str:
    lowered = name.lower()
    found = (kind for kind, words in KINDS.items() if any(word in lowered for word in words))
    return next(found, "other")


def _size(kernel: Any) -> str:
    """Return a kernel's size as "3×3"."""
    if isinstance(kernel, int):
        kernel = (kernel, kernel)
    return "×".join(map(str, kernel)) if isinstance(kernel, tuple | list) else str(kernel)


def _one(values: tuple[int, ...]) -> str:
    """Return one number where all are the same, else all of them."""
    return str(values[0]) if len(set(values)) == 1 else _size(values)
