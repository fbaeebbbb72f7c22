"""Wrappers around a network (DataParallel, `torch.compile`, averages), and the network inside.

A wrapper computes what the network in it does, and writes its own name before those of the
tensors: "module." or "_orig_mod.". What is stored has the network's own names, and is loaded
whatever wrapping either side has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

COUNTER = "n_averaged"  # AveragedModel's own tensor, beside those of the model in it
COMPILED_PART = re.compile(r"(^|\.)_orig_mod\.")


def unwrap(model: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel, `torch.compile`, AveragedModel.

    They may be nested in any order; a model in none of them is what is returned.
    """
    inner = _inside(model)
    return model if inner is None else unwrap(inner)


def _inside(model: nn.Module) -> nn.Module | None:
    """The model in the outermost wrapper, if there is one."""
    if isinstance(model, nn.DataParallel | DistributedDataParallel | AveragedModel):
        return model.module
    # By its name: the class comes with torch._dynamo, which takes seconds to import.
    return dict(model._modules.items()).get("_orig_mod")


@contextmanager
def unwrapped_parts(model: nn.Module) -> Iterator[None]:
    """The model with the networks in the place of wrappers around its parts, for this block."""
    wrapped = [
        (parent, name, part)
        for parent in list(model.modules())
        for name, part in parent._modules.items()
        if part is not None and _inside(part) is not None
    ]
    try:
        for parent, name, part in wrapped:
            parent._modules[name] = unwrap(part)
        yield
    finally:
        for parent, name, part in wrapped:
            parent._modules[name] = part


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A `state_dict` under the names that the network has without any wrapper.

    "module." and "_orig_mod." go where all names begin with them, "_orig_mod." also inside a name,
    where a part was compiled, and AveragedModel's counter with its "module.".

    Raises:
        TypeError: not a mapping from names.
    """
    return {plain: state[name] for name, plain in _plain_names(state).items()}


def load_plain_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Load a `state_dict` into the model inside, whatever wrapping either side has.

    Of tensors that the model ties (one under several names), one name is enough.

    Raises:
        TypeError: the state is not a mapping from names.
        RuntimeError: it is of another model, as `load_state_dict` says it.
    """
    unwrap(model).load_state_dict(state_for(model, state))


def state_for(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """A `state_dict` under the names of the model inside, whatever wrapping either side has.

    What the model has no name for keeps the one that it has without wrappers.

    Raises:
        TypeError: the state is not a mapping from names.
    """
    model = unwrap(model)
    own = model.state_dict()
    plain_own, given = _plain_names(own), plain_state(state)
    tied = _tied_names(model)
    translated: dict[str, Any] = type(own)()
    for name in own:
        plain = plain_own.get(name, name)
        others = (plain_own.get(other, other) for other in tied.get(name, ()))
        found = next((one for one in (plain, *others) if one in given), None)
        if found is not None:
            translated[name] = given[found]
        elif name not in plain_own and name in state:  # a network's own tensor of that name
            translated[name] = state[name]
    known = set(plain_own.values())
    translated |= {name: value for name, value in given.items() if name not in known}
    if translated.keys() == own.keys() and hasattr(own, "_metadata"):
        # The versions of the layers: nothing is missing, so nothing is of before a version.
        translated._metadata = own._metadata  # type: ignore[attr-defined]
    return translated


def _plain_names(state: Mapping[str, Any]) -> dict[str, str]:
    """Each name -> the one without wrappers; AveragedModel's counter has none."""
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(
            f"This is a {type(state).__name__}; expected a state_dict: tensors by their names."
        )
    plain = {name: name for name in state}
    while plain:
        uncounted = {full: name for full, name in plain.items() if name != COUNTER}
        if uncounted and all(name.startswith("module.") for name in uncounted.values()):
            plain = {full: name.removeprefix("module.") for full, name in uncounted.items()}
        elif all(name.startswith("_orig_mod.") for name in plain.values()):
            plain = {full: name.removeprefix("_orig_mod.") for full, name in plain.items()}
        else:
            break
    return {full: COMPILED_PART.sub(r"\1", name) for full, name in plain.items()}


def _tied_names(model: nn.Module) -> dict[str, list[str]]:
    """The names of each tensor that has several, under each of them."""
    by_tensor: dict[int, list[str]] = {}
    tensors: list[tuple[str, Tensor]] = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in tensors:
        by_tensor.setdefault(id(tensor), []).append(name)
    return {name: names for names in by_tensor.values() if len(names) > 1 for name in names}
