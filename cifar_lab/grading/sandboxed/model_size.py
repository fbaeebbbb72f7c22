"""The count of numbers that a model computes with, wherever it keeps them.

A whole number may hold several small ones side by side, and so may the bits of any number that is
read as another type: each byte that is so used counts as a number. A complex number is two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import TorchDispatchMode

VIEW_AS_TYPE = torch.ops.aten.view.dtype
BATCH_STATISTICS = (3, 4)  # the arguments of a batch normalisation that training does not learn
OF_MODULES = frozenset(nn.Module().__dict__)  # PyTorch's own attributes


def size_of_program(program: Any) -> dict[str, int]:
    """Count the numbers in parameters, in batch normalisation's statistics, and in all else."""
    signature = program.graph_signature
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **getattr(signature, "inputs_to_lifted_tensor_constants", {}),
    }
    statistics = set()
    for node in program.graph.nodes:
        if "batch_norm" in str(node.target):
            used = [node.args[place] for place in BATCH_STATISTICS if place < len(node.args)]
            statistics |= {targets.get(str(argument)) for argument in used}
    parameters = set(signature.parameters)
    reread = _reread_in(program.graph, targets)

    def kind(name: str, tensor: Tensor) -> str:
        if name in parameters:
            return "parameters"
        counts_batches = name.endswith("num_batches_tracked") and tensor.numel() == 1
        return "statistics" if name in statistics or counts_batches else "constants"

    tensors = {**program.constants, **program.state_dict}
    return _count(
        (kind(name, each), each, name in reread)
        for name, each in tensors.items()
        if _is_tensor(each)
    )


def _reread_in(graph: Any, targets: dict[str, str]) -> set[str]:
    """Return the names of tensors whose bits a program reads as numbers of another type."""
    found: set[str] = set()
    sources: dict[Any, set[str] | None] = {}  # weights that a value comes from; None from images
    for node in graph.nodes:
        if node.op == "placeholder":
            sources[node] = {targets[node.name]} if node.name in targets else None
            continue
        given = [sources.get(each, set()) for each in node.all_input_nodes]
        of_weights = [each for each in given if each is not None]
        sources[node] = set().union(*of_weights) if len(of_weights) == len(given) else None
        if node.target is VIEW_AS_TYPE:
            found |= sources[node] or set()
    return found


def size_of_module(model: nn.Module, images: Tensor) -> dict[str, int]:
    """Count the same in a network as it is, without what it keeps of its images."""
    before = list(_plain_tensors(model))
    # One that fails on two images is another look's fault; then all counts that it has.
    with torch.no_grad(), suppress(Exception), Reread() as reread:
        model(images)
    after = {id(tensor) for tensor in _plain_tensors(model)}
    statistics = {
        id(buffer)
        for layer in model.modules()
        if isinstance(layer, _NormBase)
        for buffer in layer.buffers(recurse=False)
    }
    learnt = [("parameters", each) for each in model.parameters()]
    kept = [
        ("statistics" if id(each) in statistics else "constants", each) for each in model.buffers()
    ]
    others = [
        ("parameters" if isinstance(each, nn.Parameter) else "constants", each)
        for each in before
        if id(each) in after
    ]
    return _count(
        (kind, each, _storage(each) in reread.storages) for kind, each in (*learnt, *kept, *others)
    )


class Reread(TorchDispatchMode):
    """A mode that notes which tensors' bits are read as numbers of another type.

    Attributes:
        storages: Addresses of the memory of those tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is VIEW_AS_TYPE and args:
            self.storages.add(_storage(args[0]))
        return func(*args, **(kwargs or {}))


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _plain_tensors(model: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors in a network's plain attributes, in lists and dicts too."""
    for layer in model.modules():
        waiting = [value for name, value in layer.__dict__.items() if name not in OF_MODULES]
        while waiting:
            value = waiting.pop()
            if _is_tensor(value):
                yield value
            elif isinstance(value, list | tuple | set):
                waiting += value
            elif isinstance(value, dict):
                waiting += value.values()


def _is_tensor(value: Any) -> bool:
    return torch.is_tensor(value)


def _count(tensors: Iterable[tuple[str, Tensor, bool]]) -> dict[str, int]:
    """Count numbers by kind; a tensor under several names counts once.

    Numbers beyond one for each that PyTorch counts are among the constants.

    Args:
        tensors: Kinds and tensors, and whether its bits are read as numbers of another type.
    """
    counts, seen = {"parameters": 0, "statistics": 0, "constants": 0}, set()
    for kind, tensor, is_reread in tensors:
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        counts[kind] += tensor.numel()
        counts["constants"] += tensor.numel() * (_numbers_in_each(tensor, is_reread) - 1)
    return counts


def _numbers_in_each(tensor: Tensor, is_reread: bool) -> int:
    if not tensor.numel():
        return 1
    if is_reread:
        return max(1, tensor.element_size())
    if tensor.is_complex():
        return 2
    if tensor.is_floating_point() or tensor.dtype == torch.bool:
        return 1
    try:
        span = int(tensor.max()) - int(tensor.min())
    except RuntimeError:  # of a type without an order
        return max(1, tensor.element_size())
    return max(1, math.ceil(span.bit_length() / 8))
