"""The model and the weights that were handed over, loaded so that no code of theirs runs."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import child
import torch
from torch import Tensor

from cifar_lab.models import build_model
from cifar_lab.models.former import renamed
from cifar_lab.models.wrapping import plain_state

from .stored_weights import states_in

# Names in a program's sizes, such as that of the number of images.
SIZE_NAMES = {"Symbol", "Integer", "Add", "Mul", "Pow", "FloorDiv", "Mod", "Max", "Min"} | {
    "True",
    "False",
    "positive",
    "integer",
    "nonnegative",
    "oo",
    "int_oo",
}

HALF_PRECISION = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Loaded:
    """The tensors of a file of weights.

    Attributes:
        file: The file's name.
        tensors: By the model's names; those that the model lacks by the file's.
        fits: Whether these are the model's names and shapes.
    """

    file: str
    tensors: dict[str, Tensor]
    fits: bool


def load_model(arguments: dict[str, Any]) -> Any:
    """Load the program, or a model of the library by its name with the weights in the file."""
    if arguments["model_name"] is None:
        return _load_program()
    model = build_model(arguments["model_name"], arguments["num_classes"]).eval()
    own = model.state_dict()
    loaded = load_weights(shapes_of(own), arguments.get("preferred", ()), ties_of(own))
    model.load_state_dict(loaded.tensors)
    images = torch.zeros(2, 3, 32, 32)
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(model, (images,), dynamic_shapes=({0: batch},))


def _load_program() -> Any:
    """Call `torch.export.load`, without the ways in which a file could run code."""
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


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a state_dict's tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def ties_of(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return, for each name of a tensor that has several, all of them."""
    names: dict[tuple[int, tuple[int, ...]], list[str]] = {}
    for name, tensor in state.items():
        if tensor.numel():
            names.setdefault(_memory(tensor), []).append(name)
    return {name: same for same in names.values() if len(same) > 1 for name in same}


def load_weights(
    shapes: Mapping[str, Sequence[int]],
    preferred: Sequence[str] = (),
    ties: Mapping[str, Sequence[str]] | None = None,
) -> Loaded:
    """Return the first stored state_dict with a model's names and shapes, or else the nearest.

    Args:
        shapes: Shapes of the model's tensors, by name. Neither these names nor the stored ones need
            to be without those of wrappers such as `nn.DataParallel`.
        preferred: Names of the files that are looked at first.
        ties: For a tensor that the model has under several names, those: one is enough.

    Raises:
        Exception: No file can be read; the text says why.
    """
    nearest, nearest_score = None, (-1, -1)
    errors: list[tuple[str, Exception]] = []
    for name, place in _files(preferred):
        try:
            states = states_in(child.readable(f"weights-{place}"))
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes torch.load raise almost anything
            errors.append((name, error))
            continue
        for state in states:
            loaded = _under_asked_names(name, state, shapes, ties or {})
            if loaded.fits:
                return loaded
            score = _likeness(loaded.tensors, shapes)
            if score > nearest_score:
                nearest, nearest_score = loaded, score
    if nearest is None or (errors and nearest_score == (0, 0)):
        raise _all_in_one(errors)
    return nearest


def likeliest_state(preferred: Sequence[str] = ()) -> tuple[str, dict[str, Tensor]]:
    """Return the first stored state_dict, whatever the model is, with its file's name.

    Args:
        preferred: Names of the files that are looked at first.

    Raises:
        Exception: No file can be read; the text says why.
    """
    errors: list[tuple[str, Exception]] = []
    for name, place in _files(preferred):
        try:
            return name, dict(plain_state(states_in(child.readable(f"weights-{place}"))[0]))
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes torch.load raise almost anything
            errors.append((name, error))
    raise _all_in_one(errors)


def _files(preferred: Sequence[str]) -> list[tuple[str, int]]:
    """Return the names of the files with the numbers under which they were handed over."""
    first = [PurePath(name).name.casefold() for name in preferred]
    names = [PurePath(name).name for name in child.arguments()["weights"] or ()]

    def place(numbered: tuple[str, int]) -> int:
        name = numbered[0].casefold()
        return first.index(name) if name in first else len(first)

    return sorted(zip(names, range(len(names)), strict=True), key=place)


def _all_in_one(errors: Sequence[tuple[str, Exception]]) -> Exception:
    if len(errors) == 1:
        return errors[0][1]
    texts = [f"{name}: {type(error).__name__}: {error}"[:250] for name, error in errors[:3]]
    return ValueError("; ".join(texts) or "there is no file of weights")


def _under_asked_names(
    file: str,
    state: Mapping[str, Tensor],
    shapes: Mapping[str, Sequence[int]],
    ties: Mapping[str, Sequence[str]],
) -> Loaded:
    plain = {asked: name for name, asked in plain_state({name: name for name in shapes}).items()}
    stored = renamed(plain_state(state), set(plain.values()))
    tensors: dict[str, Tensor] = {}
    for asked in shapes:
        names = [plain[one] for one in (asked, *ties.get(asked, ())) if one in plain]
        found = next((stored[name] for name in names if name in stored), None)
        if asked not in plain:  # a wrapper's own counter, which says nothing of the network
            found = state.get(asked, torch.zeros(tuple(shapes[asked]), dtype=torch.long))
        if found is not None:
            tensors[asked] = _as_asked(found, shapes[asked])
    used = {_memory(stored[name]) for name in plain.values() if name in stored}
    for name in stored.keys() - set(plain.values()):
        if _memory(stored[name]) not in used:  # else one of the model's under another name
            tensors[name] = stored[name]
    fits = tensors.keys() == shapes.keys() and all(
        tuple(tensors[name].shape) == tuple(shape) for name, shape in shapes.items()
    )
    return Loaded(file, tensors, fits)


def _as_asked(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return half precision as single; one of another shape, maybe huge, stays as it is."""
    tensor = tensor.detach()
    is_half = tensor.dtype in HALF_PRECISION and tuple(tensor.shape) == tuple(shape)
    return tensor.float() if is_half else tensor


def _likeness(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]]
) -> tuple[int, int]:
    """Return how many names are the model's, with their shapes and without."""
    both = tensors.keys() & shapes.keys()
    return sum(tuple(tensors[name].shape) == tuple(shapes[name]) for name in both), len(both)


def _memory(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)
