"""The count of numbers that a model computes with, wherever it keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

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

    def kind(name: str, tensor: Tensor) -> str:
        if name in parameters:
            return "parameters"
        counts_batches = name.endswith("num_batches_tracked") and tensor.numel() == 1
        return "statistics" if name in statistics or counts_batches else "constants"

    tensors = {**program.constants, **program.state_dict}
    return _count((kind(name, each), each) for name, each in tensors.items() if _is_tensor(each))


def size_of_module(model: nn.Module, images: Tensor) -> dict[str, int]:
    """Count the same in a network as it is, without what it keeps of its images."""
    before = list(_plain_tensors(model))
    # One that fails on two images is another look's fault; then all counts that it has.
    with torch.no_grad(), suppress(Exception):
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
    return _count([*learnt, *kept, *others])


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


def _count(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
    """Count numbers by kind; a tensor under several names counts once."""
    counts, seen = {"parameters": 0, "statistics": 0, "constants": 0}, set()
    for kind, tensor in tensors:
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        counts[kind] += tensor.numel()
    return counts
