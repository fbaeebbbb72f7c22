"""Convolutions that compute channels-last in memory for a time, invisibly to the network's code.

On CPUs, and in half precision on GPUs, convolutions are faster where a pixel's channels are next to
each other in memory. The network still gets contiguous images; each of its `Conv2d` layers converts
its input, and the features stay channels-last until another layer changes that. `x.view(...)`
after a convolution assumes contiguous features; it is then computed as `x.reshape(...)`. A network
that fails in this layout, or gives other logits, keeps its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from cifar_lab.models.forward import logits_in
from cifar_lab.models.inspection import evaluation_mode, untouched

TOLERANCE = 1e-3  # the largest difference of logits that is rounding, as a share of the largest
GPU_TOLERANCE = 1e-2  # there, convolutions may round to TF32, by algorithm
CHANNELS_LAST = torch.channels_last
OURS = ("torch", "torchvision", "cifar_lab")  # packages whose code is known to be safe to try


class Layout(Enum):
    """The memory layout of a network's features while it computes."""

    PLAIN = "contiguous"
    CHANNELS_LAST = "channels-last"
    CHANNELS_LAST_VIEWS = "channels-last, with views read as reshapes"

    @contextmanager
    def within(self, model: nn.Module) -> Iterator[None]:
        """Let the model's convolutions compute in this layout for the block."""
        if self is Layout.PLAIN:
            yield
            return
        with ExitStack() as stack:
            layers = convolutions(model)
            for layer in layers:
                stack.enter_context(_turning_inputs(layer))
            for weight in _own_weights(model, layers):
                stack.enter_context(_turned(weight))
            if self is Layout.CHANNELS_LAST_VIEWS:
                stack.enter_context(_ViewsAsReshapes())
            yield


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """Return the network's 2D convolutions, without those of TorchScript."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def find_layout(model: nn.Module, images: Tensor, *, train: bool = False) -> Layout:
    """Return the fastest layout in which the network gives the same logits as in the plain one.

    Args:
        model: The network, which is left as it was. One with hooks gets the plain layout, since
            the hooks would see the trial.
        images: A batch to try the layouts on, on the model's device.
        train: Whether the network must also run in training mode.
    """
    if not convolutions(model) or is_watched(model):
        return Layout.PLAIN
    with untouched(model), torch.no_grad():
        expected = _logits(model, images)
        for layout in (Layout.CHANNELS_LAST, Layout.CHANNELS_LAST_VIEWS):
            with layout.within(model):
                if _agree(expected, _logits(model, images)) and (
                    not train or _runs_in_training(model, images)
                ):
                    return layout
    return Layout.PLAIN


def is_watched(model: nn.Module) -> bool:
    """Return whether the model has forward hooks other than PyTorch's and this library's."""
    return any(
        not _is_ours(hook)
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    )


def has_hooks(model: nn.Module) -> bool:
    """Return whether hooks watch the model's forward or backward passes, or its gradients."""
    return is_watched(model) or any(
        getattr(holder, name, None)
        for holder in (*model.modules(), *model.parameters())
        for name in ("_backward_hooks", "_backward_pre_hooks", "_post_accumulate_grad_hooks")
    )


def is_written_here(model: nn.Module) -> bool:
    """Return whether all of the model's code is PyTorch's or this library's.

    An additional forward pass of such a model leaves no trace.
    """
    return not is_watched(model) and all(
        _is_ours(module) and "forward" not in module.__dict__ for module in model.modules()
    )


def _is_ours(thing: Any) -> bool:
    """Return whether a class or function is PyTorch's or this library's."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] in OURS


def _logits(model: nn.Module, images: Tensor) -> Any:
    """Return the network's logits in eval mode; None where it raises."""
    with evaluation_mode(model):
        try:
            return logits_in(model(images.clone()))[0]  # a copy: the model may work in place
        except Exception:
            return None


def _runs_in_training(model: nn.Module, images: Tensor) -> bool:
    model.train()
    try:
        model(images.clone())
    except Exception:
        return False
    return True


def _agree(expected: Any, found: Any) -> bool:
    if not torch.is_tensor(expected) or not torch.is_tensor(found):
        return False
    if expected.shape != found.shape or not expected.is_floating_point():
        return False
    tolerance = TOLERANCE if expected.device.type == "cpu" else GPU_TOLERANCE
    return bool((expected - found).abs().max() <= tolerance * expected.abs().max())


def _own_weights(model: nn.Module, layers: list[nn.Conv2d]) -> list[nn.Parameter]:
    """Return the weights that share their memory with no other tensor: a shared one can't move."""
    weights = {id(weight): weight for layer in layers for weight in layer._parameters.values()}
    kernels = [weight for weight in weights.values() if weight is not None and weight.ndim == 4]
    tensors = {id(each): each for each in (*model.parameters(), *model.buffers())}
    places = Counter(
        each.untyped_storage().data_ptr() for each in tensors.values() if not is_lazy(each)
    )
    return [
        weight
        for weight in kernels
        if places[weight.untyped_storage().data_ptr()] == 1
        and weight.untyped_storage().nbytes() == weight.numel() * weight.element_size()
    ]


@contextmanager
def _turned(weight: nn.Parameter) -> Iterator[None]:
    was_plain = weight.is_contiguous()
    weight.data = weight.data.contiguous(memory_format=CHANNELS_LAST)
    try:
        yield
    finally:
        if was_plain:
            weight.data = weight.data.contiguous()


@contextmanager
def _turning_inputs(layer: nn.Conv2d) -> Iterator[None]:
    hook = layer.register_forward_pre_hook(_turn)
    try:
        yield
    finally:
        hook.remove()


def _turn(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if len(inputs) == 1 and torch.is_tensor(inputs[0]) and inputs[0].ndim == 4:
        return (inputs[0].contiguous(memory_format=CHANNELS_LAST),)
    return None


class _ViewsAsReshapes(TorchFunctionMode):
    """A mode in which `x.view(...)` of channels-last features is computed as `x.reshape(...)`."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.Tensor.view and not args[0].is_contiguous():
            try:
                return func(*args, **(kwargs or {}))
            except RuntimeError:
                func = torch.Tensor.reshape
        elif func is torch.Tensor.view_as:
            func = torch.Tensor.reshape_as
        return func(*args, **(kwargs or {}))
