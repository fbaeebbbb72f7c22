"""The model and the weights that were handed over, loaded so that no code of theirs runs."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Iterable
from typing import Any

import child
import torch
from torch import Tensor

from cifar_lab.models import build_model

# What a program's sizes, such as the number of images, are written with.
SIZE_NAMES = {"Symbol", "Integer", "Add", "Mul", "Pow", "FloorDiv", "Mod", "Max", "Min"} | {
    "True",
    "False",
    "positive",
    "integer",
    "nonnegative",
    "oo",
    "int_oo",
}


def load_model(arguments: dict[str, Any]) -> Any:
    """The program, or a model of the library by its name with the weights in the file."""
    if arguments["model_name"] is None:
        return _load_program()
    model = build_model(arguments["model_name"], arguments["num_classes"]).eval()
    model.load_state_dict(load_weights(model.state_dict()))
    images = torch.zeros(2, 3, 32, 32)
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(model, (images,), dynamic_shapes=({0: batch},))


def _load_program() -> Any:
    """`torch.export.load`, with the places closed through which a file could run code."""
    import sympy

    load, parse = torch.load, sympy.sympify

    def load_plain(file: Any, *rest: Any, **options: Any) -> Any:
        return load(file, map_location="cpu", weights_only=True)

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise pickle.UnpicklingError("the program holds an object that is no tensor")

    def parse_plain(text: Any, *rest: Any, **options: Any) -> Any:
        names = re.findall(r"[^\W\d]\w*", str(text))
        known = all(name in SIZE_NAMES or re.fullmatch(r"[su]\d+", name) for name in names)
        if not known or not re.fullmatch(r"[\w\s'+*/(),<>=-]{1,300}", str(text)):
            raise ValueError(f"the program holds the size {str(text)[:80]!r}")
        return parse(text, *rest, **options)

    torch.load, sympy.sympify = load_plain, parse_plain
    pickle.loads = refuse
    if hasattr(torch._C, "_pickle_load_obj"):
        torch._C._pickle_load_obj = refuse
    try:
        return torch.export.load(child.readable("program"))
    finally:
        torch.load, sympy.sympify = load, parse


def load_weights(names: Iterable[str]) -> dict[str, Tensor]:
    """The stored state_dict, wrapped as the model is whose tensors have these names.

    Raises:
        TypeError: it holds something else.
    """
    weights = torch.load(child.readable("weights"), map_location="cpu", weights_only=True)
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and torch.is_tensor(value) for name, value in weights.items()
    ):
        names = (
            f" with {', '.join(map(str, list(weights)[:5]))}" if isinstance(weights, dict) else ""
        )
        raise TypeError(
            f"it holds a {type(weights).__name__}{names}, not the tensors of a state_dict: of a "
            "checkpoint, save checkpoint['model'] or the like alone"
        )
    asked, stored = _wrapping(names), _wrapping(weights)
    return {asked + name.removeprefix(stored): tensor for name, tensor in weights.items()}


def _wrapping(names: Iterable[str]) -> str:
    """What all names begin with where the model was in `torch.compile` or `nn.DataParallel`."""
    found = re.match(r"(_orig_mod\.|module\.)*", os.path.commonprefix(list(names)))
    return found[0] if found else ""
