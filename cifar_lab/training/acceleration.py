"""Faster training of any network: a faster memory layout, and faster layers for the known ones.

Both are put in for the time of training and taken out again, invisibly to the network's code:
parameters keep their names, objects and order, and a copy or a checkpoint holds the plain network.
Layers are recognised by their order in a forward pass, so it does not matter whether they are in a
`Sequential` or called one by one. Each change is tried on a batch first: where outputs or gradients
differ by more than rounding, the network keeps its own layers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.models.forward import logits_in
from cifar_lab.models.inspection import untouched
from cifar_lab.models.layout import TOLERANCE, Layout, convolutions, find_layout, is_watched
from cifar_lab.models.wrapping import unwrap
from cifar_lab.training.faster_layers import ConvNorm, PoolFirst, unchanged
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.console import say

GROWTH = 8  # `ConvNorm` is faster from this ratio of output to input channels
# The largest difference of gradients, as a share of their norm. It is this large because rounding
# can move a value across zero, which changes the gradient of a ReLU.
GRADIENT_TOLERANCE = 0.05
KNOWN = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Dropout2d, nn.MaxPool2d)


@dataclass(frozen=True)
class Acceleration:
    """The way in which a network computes while it is trained.

    Attributes:
        layout: The memory layout of the network's features.
        changes: The replacements of some of its layers.
    """

    layout: Layout = Layout.PLAIN
    changes: Sequence[Replaced] = ()

    @contextmanager
    def within(self, model: nn.Module) -> Iterator[None]:
        """Accelerate the model for the block; afterwards it is plain again, also after an error.

        Layers that hooks have come to watch since it was found stay plain.
        """
        with ExitStack() as stack:
            stack.enter_context(self.layout.within(model))
            for change in () if _has_hooks(model) else self.changes:
                stack.enter_context(change.made())
            yield


def find_acceleration(recipe: Recipe, model: nn.Module, images: Tensor) -> Acceleration:
    """Return the acceleration that works for this network.

    A line is printed where the network can't compute channels-last; training is then slower.

    Args:
        recipe: The recipe; its `channels_last` asks for acceleration.
        model: The network, which is left as it was. One with hooks or wrappers keeps its layers,
            since a hook would see the trial.
        images: A batch to try the changes on, on the model's device.
    """
    if not recipe.channels_last or not convolutions(model):
        return Acceleration()
    layout = find_layout(model, images, train=True)
    if layout is Layout.PLAIN:
        why = "has hooks, which would see" if is_watched(model) else "can't compute on"
        name = type(unwrap(model)).__name__
        say(f"{name} {why} channels-last features; it trains on contiguous ones.")
    if _has_hooks(model) or _is_wrapped(model):
        return Acceleration(layout)
    accepted: list[Replaced] = []
    for kind in filter(None, _find_changes(model, images)):
        with Acceleration(layout, accepted).within(model):
            expected = _outcome(model, images)
        with Acceleration(layout, [*accepted, *kind]).within(model):
            if _agree(expected, _outcome(model, images)):
                accepted += kind
    return Acceleration(layout, accepted)


def _has_hooks(model: nn.Module) -> bool:
    return is_watched(model) or any(
        bool(holder._backward_hooks)  # type: ignore[attr-defined]
        for holder in (*model.modules(), *model.parameters())
    )


def _is_wrapped(model: nn.Module) -> bool:
    """Return whether the model or a part is compiled or in DataParallel, which copies layers."""
    return any(unwrap(part) is not part for part in model.modules())


# ---------------------------------------------------------------- possible changes


class Replaced:
    """Consecutive layers that are all computed in the place of the last one.

    Args:
        layers: The layers in the order of the forward pass.
        together: The faster computation; its `forward` maps the first layer's input to the last
            one's output.
    """

    def __init__(self, layers: Sequence[nn.Module], together: ConvNorm | PoolFirst) -> None:
        self.layers = layers
        self.together = together

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the last layer compute all of them, and the others return their input."""
        *before, last = self.layers
        # Bound methods: a deep copy of the network binds them to the copy's own layers.
        for layer in before:
            layer.forward = MethodType(unchanged, layer)
        last.forward = MethodType(type(self.together).forward, self.together)
        try:
            yield
        finally:
            for layer in self.layers:
                layer.__dict__.pop("forward", None)


@dataclass(frozen=True)
class _Call:
    """A layer's call in a forward pass, with its input and output."""

    layer: nn.Module
    given: Tensor
    found: Tensor


def _find_changes(model: nn.Module, images: Tensor) -> list[list[Replaced]]:
    """Return the changes that could be made, by kind."""
    calls = _calls(model, images)
    chain_before = _Chains(calls)
    pools: list[Replaced] = []
    pairs: list[Replaced] = []
    for number, call in enumerate(calls):
        chain = chain_before(number)
        if isinstance(call.layer, nn.BatchNorm2d) and chain and _suits(chain[-1], call.layer):
            pair = (chain[-1], call.layer)
            pairs.append(Replaced(pair, ConvNorm(*pair)))  # type: ignore[arg-type]
        elif isinstance(call.layer, nn.MaxPool2d) and not call.layer.return_indices:
            first = len(chain)
            while first and isinstance(chain[first - 1], nn.ReLU | nn.Dropout2d):
                first -= 1
            layers = chain[first:]
            if any(isinstance(layer, nn.ReLU) for layer in layers):
                pools.append(Replaced([*layers, call.layer], PoolFirst(layers, call.layer)))
    return [pools, pairs]


class _Chains:
    """Chains of consecutive layers, each called once and with an output for the next one alone."""

    def __init__(self, calls: Sequence[_Call]) -> None:
        self._calls = calls
        self._times = Counter(call.layer for call in calls)
        self._source: list[int | None] = []  # the call whose output each call takes
        latest: dict[int, int] = {}  # the last call that wrote a tensor
        for number, call in enumerate(calls):
            self._source.append(latest.get(id(call.given)))
            latest[id(call.found)] = number
        self._users = Counter(self._source)

    def __call__(self, number: int) -> list[nn.Module]:
        """Return the chain before a call, in the order of the forward pass."""
        chain: list[nn.Module] = []
        if self._times[self._calls[number].layer] > 1:
            return chain
        source = self._source[number]
        while source is not None and self._users[source] == 1:
            layer = self._calls[source].layer
            if self._times[layer] > 1:
                break
            chain.insert(0, layer)
            source = self._source[source]
        return chain


def _suits(conv: nn.Module, norm: nn.BatchNorm2d) -> bool:
    return (
        isinstance(conv, nn.Conv2d)
        and (conv.kernel_size, conv.stride, conv.padding) == ((1, 1), (1, 1), (0, 0))
        and conv.groups == 1
        and conv.bias is None
        and norm.affine
        and norm.track_running_stats
        and conv.out_channels >= GROWTH * conv.in_channels
    )


def _calls(model: nn.Module, images: Tensor) -> list[_Call]:
    """Return the calls of known layers in a forward pass in training mode, in their order.

    Layers with hooks, and those of a class derived from PyTorch's, are not known.
    """
    calls: list[_Call] = []

    def note(layer: nn.Module, given: tuple[Any, ...], found: Any) -> None:
        if len(given) == 1 and torch.is_tensor(given[0]) and torch.is_tensor(found):
            calls.append(_Call(layer, given[0], found))

    with ExitStack() as stack:
        stack.enter_context(untouched(model))
        for layer in model.modules():
            if type(layer) in KNOWN and not layer._forward_hooks and not layer._forward_pre_hooks:
                stack.callback(layer.register_forward_hook(note).remove)
        model.train()
        try:
            model(images.clone())
        except Exception:  # training will raise it
            return []
    return calls


# ---------------------------------------------------------------- comparison of the results


@dataclass(frozen=True)
class _Outcome:
    """A training pass's logits, its gradients in one row, and the buffers after it."""

    logits: Tensor
    gradients: Tensor
    buffers: list[Tensor]


def _outcome(model: nn.Module, images: Tensor) -> _Outcome | None:
    """Return the outcome of a training pass; None where it fails."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    with untouched(model):
        model.train()
        try:
            logits = logits_in(model(images.clone()))[0]
            found = torch.autograd.grad(logits.square().mean(), parameters, allow_unused=True)
        except Exception:  # such as an overwritten tensor that the gradient needs
            return None
        gradients = torch.cat([each.flatten() for each in found if each is not None])
        return _Outcome(logits.detach(), gradients, [each.clone() for each in model.buffers()])


def _agree(expected: _Outcome | None, found: _Outcome | None) -> bool:
    if expected is None or found is None or expected.gradients.shape != found.gradients.shape:
        return False
    values = zip([expected.logits, *expected.buffers], [found.logits, *found.buffers], strict=True)
    error = (expected.gradients - found.gradients).norm()
    return bool(error <= GRADIENT_TOLERANCE * expected.gradients.norm()) and all(
        _is_close(*pair) for pair in values
    )


def _is_close(expected: Tensor, found: Tensor) -> bool:
    """Return whether two tensors differ by at most `TOLERANCE` of the largest number."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.numel() == 0 or not expected.is_floating_point():
        return torch.equal(expected, found)
    return bool((expected - found).abs().max() <= TOLERANCE * expected.abs().max())
