"""The structure of a network, and the library's networks that have the same.

Two networks have the same structure where they compute the same function of images and weights:
names of classes and attributes, in-place operations, views and arithmetic with constants, such as
normalisation, make no difference, nor does what happens in training alone, such as dropout.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cifar_lab.models.counting import count_parameters
from cifar_lab.models.forward import device_of, logits_in, run_model
from cifar_lab.models.handed_out import handed_out
from cifar_lab.models.inspection import IMAGE_SHAPE, kind_of, materialize, untouched
from cifar_lab.models.operations import Node, node_of_call
from cifar_lab.models.wrapping import unwrap
from cifar_lab.utils.seeding import random_state_kept

IMAGES = 2  # some networks can't take a single image
MOST_CLASSES = 1_000  # of networks to compare with, which would not fit into memory with millions


def structure(model: nn.Module, images: Sequence[int] = IMAGE_SHAPE) -> tuple[Any, ...]:
    """Return the operations that lead from images to logits, each after its inputs.

    An entry has the operation's name, its settings with the shape that it computes, and the places
    of its inputs in the tuple, -1 for a constant. Weights that are used twice have one place. The
    model is left as it was; it may also be the module of an exported program.

    Args:
        model: Takes images of that shape and gives logits.
        images: The shape of an image.

    Raises:
        ValueError: The model can't take images of that shape, or its output is no tensor.
    """
    return _trace(model, tuple(images))[0]


def library_network_like(model: nn.Module, images: Sequence[int] = IMAGE_SHAPE) -> str | None:
    """Return the name of the library's or a notebook's network with the same structure.

    None means that the network is the student's own.

    Args:
        model: Takes images of that shape and gives logits.
        images: The shape of an image.

    Raises:
        ValueError: The model can't take images of that shape, or its output is no tensor.
    """
    found, num_classes = _trace(model, tuple(images))
    if not 1 < num_classes <= MOST_CLASSES:
        return None
    weights = sum(settings[0] for operation, settings, _ in found if operation == "weights")
    for name in _names_by_weights(num_classes).get(weights, ()):
        if _known_structure(name, num_classes, tuple(images)) == found:
            return name
    return None


@lru_cache
def _names_by_weights(num_classes: int) -> dict[int, list[str]]:
    """Map numbers of parameters to the names of the networks that have as many."""
    names: dict[int, list[str]] = {}
    with random_state_kept(), torch.device("cpu"):
        for name, build in handed_out().items():
            names.setdefault(count_parameters(build(num_classes=num_classes)), []).append(name)
    return names


@lru_cache
def _known_structure(
    name: str, num_classes: int, images: tuple[int, ...]
) -> tuple[Any, ...] | None:
    """Return the structure of a network that a student is given; None where images don't fit."""
    with random_state_kept(), torch.device("cpu"):
        model = handed_out()[name](num_classes=num_classes)
        try:
            return structure(model, images)
        except ValueError:  # most take 32x32 pixels alone
            return None


def _trace(model: nn.Module, images: tuple[int, ...]) -> tuple[tuple[Any, ...], int]:
    """Return the model's structure and the number of its logits for an image."""
    model = unwrap(model)
    materialize(model, images)
    with torch.inference_mode(False), torch.no_grad(), untouched(model):
        with suppress(NotImplementedError):  # an exported program is in eval mode for good
            model.eval()
        batch = torch.rand(IMAGES, *images, device=device_of(model), dtype=kind_of(model))
        recorder = _Recorder(model)
        recorder.note(batch, Node("images", (images,)))
        with recorder:
            logits = logits_in(run_model(model, batch))[0]
    if not torch.is_tensor(logits):
        raise ValueError(
            f"{type(model).__name__} gives {type(logits).__name__}; expected a tensor of logits. "
            "Return the logits from forward."
        )
    return recorder.structure_of(logits), logits.shape[-1] if logits.ndim else 0


class _Recorder(TorchDispatchMode):
    """A record of the operations of a forward pass, seen below autograd, as a graph.

    What an operation computed is known by the memory that holds it, which views share.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._nodes: list[Node] = []
        self._places: dict[int, int] = {}  # by memory
        self._kept: list[Tensor] = []  # so that no memory is given away twice
        self._weights = {_memory(each): each for each in model.parameters()}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the operation and record it."""
        outputs = func(*args, **(kwargs or {}))
        results = [each for each in tree_leaves(outputs) if torch.is_tensor(each)]
        if results:
            self._record(func, args, kwargs or {}, results)
        return outputs

    def note(self, tensor: Tensor, node: Node) -> int:
        """Append a node, which computed this tensor, and return its place."""
        self._nodes.append(node)
        self._kept.append(tensor)
        self._places[_memory(tensor)] = len(self._nodes) - 1
        return len(self._nodes) - 1

    def _record(self, func: Any, args: Any, kwargs: Any, results: list[Tensor]) -> None:
        given = [each for each in tree_leaves((args, kwargs)) if torch.is_tensor(each)]
        memories = {_memory(each) for each in given}
        is_view = not func._schema.is_mutable and _memory(results[0]) in memories
        inputs = tuple(self._place(each) for each in given)
        if is_view or all(place < 0 for place in inputs):
            return
        node = node_of_call(func, args, kwargs, given, inputs, results[0])
        # An operation that doesn't count gives as much as its input.
        place = node if isinstance(node, int) else self.note(results[0], node)
        for result in results:
            self._kept.append(result)
            self._places[_memory(result)] = place

    def _place(self, tensor: Tensor) -> int:
        """Return the place of what computed the tensor; -1 for a constant."""
        memory = _memory(tensor)
        if memory in self._weights and memory not in self._places:
            return self.note(tensor, Node("weights", (self._weights[memory].numel(),)))
        return self._places.get(memory, -1)

    def structure_of(self, output: Tensor) -> tuple[Any, ...]:
        """Return the nodes that lead to the output, each after its inputs."""
        ordered = _in_order(self._nodes)
        order: dict[int, int] = {}
        waiting = [self._place(output)]
        while waiting:
            place = waiting[-1]
            inputs = [] if place < 0 else ordered[place]
            missing = [each for each in inputs if each >= 0 and each not in order]
            if place < 0 or place in order or not missing:
                order.setdefault(waiting.pop(), len(order))
            else:
                waiting.append(missing[0])
        return tuple(
            (
                self._nodes[place].operation,
                self._nodes[place].settings,
                tuple(order.get(each, -1) for each in ordered[place]),
            )
            for place in order
            if place >= 0
        )


def _in_order(nodes: Sequence[Node]) -> list[tuple[int, ...]]:
    """Return each node's inputs; those of a sum in an order that their own nodes determine."""
    digests: list[str] = []
    ordered = []
    for node in nodes:
        inputs = node.inputs
        if node.commutes:
            inputs = tuple(sorted(inputs, key=lambda place: digests[place] if place >= 0 else ""))
        texts = [digests[place] if place >= 0 else "" for place in inputs]
        text = repr((node.operation, node.settings, texts))
        digests.append(hashlib.sha256(text.encode()).hexdigest())
        ordered.append(inputs)
    return ordered


def _memory(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (NotImplementedError, RuntimeError):  # sparse tensors have none
        return id(tensor)
