"""Wrappers around a network (DataParallel, `torch.compile`, averages), and the network inside.

A wrapper computes the same as the network inside, but its `state_dict` has a prefix before the
tensors' names: "module." or "_orig_mod.". Files hold the network's own names, and load into a
network with or without wrappers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from cifar_lab.models.former import renamed

COUNTER = "n_averaged"  # AveragedModel's own tensor, in addition to those of the model inside
COMPILED_PART = re.compile(r"(^|\.)_orig_mod\.")


def unwrap(model: nn.Module) -> nn.Module:
    """Return the network inside DataParallel, DistributedDataParallel, compile and AveragedModel.

    These may be nested in any order; a model without wrappers is returned as it is.
    """
    inner = _inside(model)
    return model if inner is None else unwrap(inner)


def _inside(model: nn.Module) -> nn.Module | None:
    """Return the model in the outermost wrapper; None where there is no wrapper."""
    if isinstance(model, nn.DataParallel | DistributedDataParallel | AveragedModel):
        return model.module
    # By name: importing the class of torch._dynamo takes seconds.
    return dict(model._modules.items()).get("_orig_mod")


@contextmanager
def unwrapped_parts(model: nn.Module) -> Iterator[None]:
    """Replace wrapped parts of the model by the networks inside them, for the block."""
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
    """Return a `state_dict` with the names that the network has without any wrapper.

    Removed are the prefixes "module." and "_orig_mod." where all names have them, "_orig_mod."
    inside a name, where a part was compiled, and AveragedModel's counter.

    Raises:
        TypeError: The state is not a mapping from names.
    """
    return {plain: state[name] for name, plain in _plain_names(state).items()}


def load_plain_state(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Load a `state_dict` into the network inside; it may be saved from another wrapper.

    One name is enough for a tensor that the model has under several names.

    Raises:
        TypeError: The state is not a mapping from names.
        RuntimeError: The state is another model's; the message is `load_state_dict`'s.
    """
    unwrap(model).load_state_dict(state_for(model, state))


def state_for(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `state_dict` under the names that the network inside the model has.

    Tensors that the network does not have keep their names without wrappers.

    Raises:
        TypeError: The state is not a mapping from names.
    """
    model = unwrap(model)
    own = model.state_dict()
    plain_own = _plain_names(own)
    given = renamed(plain_state(state), set(plain_own.values()))
    tied = _tied_names(model)
    translated: dict[str, Any] = type(own)()
    for name in own:
        plain = plain_own.get(name, name)
        others = (plain_own.get(other, other) for other in tied.get(name, ()))
        found = next((one for one in (plain, *others) if one in given), None)
        if found is not None:
            translated[name] = given[found]
        elif name not in plain_own and name in state:  # the network's own tensor named COUNTER
            translated[name] = state[name]
    known = set(plain_own.values())
    translated |= {name: value for name, value in given.items() if name not in known}
    if translated.keys() == own.keys() and hasattr(own, "_metadata"):
        # The versions of the layers: no tensor is missing, so all are of today's versions.
        translated._metadata = own._metadata  # type: ignore[attr-defined]
    return translated


def _plain_names(state: Mapping[str, Any]) -> dict[str, str]:
    """Map each name to the one without wrappers; leave out AveragedModel's counter."""
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise TypeError(
            f"This is a {type(state).__name__}; expected a state_dict: a mapping from names to "
            "tensors. Use model.state_dict()."
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
    """Map each name of a tensor that has several names to all of them."""
    by_tensor: dict[int, list[str]] = {}
    tensors: list[tuple[str, Tensor]] = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in tensors:
        by_tensor.setdefault(id(tensor), []).append(name)
    return {name: names for names in by_tensor.values() if len(names) > 1 for name in names}
