"""The operations of a network on one image, in order: what feeds them, what they cost.

The network is run, not read, so that any `nn.Module` can be traced. Modules are watched by hooks,
functions such as `F.relu` and `x + y` by PyTorch's function mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from cifar_lab.models.forward import device_of, run_model
from cifar_lab.models.inspection import (
    IMAGE_SHAPE,
    evaluation_mode,
    kind_of,
    materialize,
    require_network,
    untouched,
)
from cifar_lab.models.wrapping import unwrap, unwrapped_parts
from cifar_lab.reporting.network.names import describe_function, describe_module
from cifar_lab.reporting.network.operations import (
    IMAGE,
    Call,
    Operation,
    Trace,
    without_dead_ends,
)

# They hand on their input, or tell something about it.
PASSED = {"contiguous", "to", "float", "double", "half", "type", "type_as", "clone", "detach"}
PASSED |= {"__get__", "cpu", "cuda", "requires_grad_", "size", "dim", "numel", "alias"}
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def trace(model: nn.Module, images: tuple[int, ...] = IMAGE_SHAPE) -> Trace:
    """Return the operations of a network, which stays as it is.

    Args:
        model: The network.
        images: The shape of an image.

    Raises:
        TypeError: The model is not a network.
        ValueError: It can't take an image of that shape.
    """
    require_network(model)
    model = unwrap(model)
    materialize(model, images)
    batch = torch.zeros(1, *images, device=device_of(model), dtype=kind_of(model))
    counter = FlopCounterMode(display=False)
    with ExitStack() as stack:
        for context in (untouched(model), evaluation_mode(model), unwrapped_parts(model)):
            stack.enter_context(context)
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        watch = _Watch(model, batch, counter)
        with watch.hooks(), watch:
            output = run_model(model, batch)
    found = Trace(
        class_name=type(model).__name__,
        image_shape=tuple(images),
        operations=watch.operations,
        outputs=frozenset(watch.sources(_tensors(output))),
        parameters=sum(each.numel() for each in model.parameters()),
        macs=counter.get_total_flops() // 2,
    )
    found = without_dead_ends(found)
    if not found.operations:
        whole = _whole(model, output, counter)
        found = replace(found, operations=[whole], outputs=frozenset([0]))
    return found


def _whole(model: nn.Module, output: Any, counter: FlopCounterMode) -> Operation:
    """Return a network in which nothing was seen, such as an empty one, as one operation."""
    return Operation(
        label=type(model).__name__,
        kind="other",
        name="",
        path=(),
        inputs=(IMAGE,),
        shape=next((tuple(each.shape[1:]) for each in _tensors(output)), ()),
        parameters=sum(each.numel() for each in model.parameters()),
        macs=counter.get_total_flops() // 2,
        shares=False,
    )


@dataclass
class _Pending:
    """What was counted before a layer began."""

    flops: int
    inputs: list[Tensor] = field(default_factory=list)


class _Watch(TorchFunctionMode):
    """A record of every layer and function that the image goes through."""

    def __init__(self, model: nn.Module, image: Tensor, counter: FlopCounterMode) -> None:
        super().__init__()
        self._model = model
        self._counter = counter
        self.operations: list[Operation] = []
        self._producers = {id(image): IMAGE}
        self._kept: list[Any] = [image]  # so that no other tensor gets the identity of one of these
        self._calls: list[Call] = []
        self._inside_leaf: list[_Pending] = []
        self._counted: set[int] = set()
        self._carried: dict[int, list[nn.Parameter]] = {}  # by tensors made of parameters alone

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch the model's layers for the block."""
        handles = []
        for name, module in self._model.named_modules():
            if module is self._model or type(module) in CONTAINERS:
                continue
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks; the function mode sees its operations
            before, after = self._hooks_of(name, module)
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hooks_of(self, name: str, module: nn.Module) -> tuple[Any, Any]:
        if not _is_leaf(module):
            call = Call(name, type(module).__name__)

            def enter(*_: Any) -> None:
                if not self._inside_leaf:
                    self._calls.append(Call(call.name, call.class_name))

            def leave(*_: Any) -> None:
                if not self._inside_leaf:
                    self._calls.pop()

            return enter, leave

        def begin(module: nn.Module, args: Any, kwargs: Any) -> None:
            inputs = list(_tensors((args, kwargs)))
            self._inside_leaf.append(_Pending(self._counter.get_total_flops(), inputs))

        def end(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            pending = self._inside_leaf.pop()
            if self._inside_leaf or isinstance(module, nn.Identity):
                return output
            label, kind = describe_module(module)
            in_place = getattr(module, "inplace", False) is True
            held = [*module.parameters()]
            return self._record(label, kind, name, pending, output, held, in_place)

        return begin, end

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._inside_leaf:
            return function(*args, **kwargs)
        inputs = list(_tensors((args, kwargs)))
        pending = _Pending(self._counter.get_total_flops(), inputs)
        output = function(*args, **kwargs)
        name = getattr(function, "__name__", "function").removesuffix(".default")
        if name in PASSED:
            self._pass_on(inputs, output)
            return output
        dynamic = sum(bool(self.sources([each])) for each in inputs)
        label, kind = describe_function(name.strip("_"), args, kwargs, several=dynamic > 1)
        held = [each for tensor in inputs for each in self._parameters_in(tensor)]
        return self._record(label, kind, "", pending, output, held, in_place="dropout" not in name)

    def _record(
        self,
        label: str,
        kind: str,
        name: str,
        pending: _Pending,
        output: Any,
        held: list[nn.Parameter],
        in_place: bool,
    ) -> Any:
        """Note an operation, and return its output.

        Dropout in eval mode returns its input itself. It gets another object, so that what takes
        its output is told apart from what takes its input, as a shortcut does.
        """
        sources = self.sources(pending.inputs)
        outputs = list(_tensors(output))
        if not outputs:
            return output
        if not sources:  # made of parameters alone: its user has the parameters
            for tensor in outputs:
                self._carried[id(tensor)] = held
            self._kept += outputs
            return output
        if not in_place and any(output is each for each in pending.inputs):
            with torch._C.DisableTorchFunction():
                output = output.view(output.shape)
            outputs = [output]
        new = [each for each in dict.fromkeys(held) if id(each) not in self._counted]
        self._counted |= {id(each) for each in held}
        self._remember(outputs, len(self.operations))
        self.operations.append(
            Operation(
                label=label,
                kind=kind,
                name=name,
                path=tuple(self._calls),
                inputs=tuple(sources),
                shape=tuple(outputs[0].shape[1:]),
                parameters=sum(each.numel() for each in new),
                macs=(self._counter.get_total_flops() - pending.flops) // 2,
                shares=len(new) < len(set(held)),
            )
        )
        return output

    def _pass_on(self, inputs: list[Tensor], output: Any) -> None:
        outputs = list(_tensors(output))
        sources = self.sources(inputs)
        if sources:
            self._remember(outputs, sources[0])
        else:
            for tensor in outputs:
                self._carried[id(tensor)] = [p for i in inputs for p in self._parameters_in(i)]
            self._kept += outputs

    def _remember(self, tensors: list[Tensor], producer: int) -> None:
        for tensor in tensors:
            self._producers[id(tensor)] = producer
        self._kept += tensors

    def sources(self, tensors: Iterable[Tensor]) -> list[int]:
        """Return the numbers of the operations that made these tensors."""
        found = (self._producers.get(id(tensor)) for tensor in tensors)
        return [number for number in dict.fromkeys(found) if number is not None]

    def _parameters_in(self, tensor: Tensor) -> list[nn.Parameter]:
        if isinstance(tensor, nn.Parameter):
            return [tensor]
        return self._carried.get(id(tensor), [])


def _is_leaf(module: nn.Module) -> bool:
    """Return whether a module is shown as one layer: those of PyTorch, and those without parts."""
    if not any(module.children()):
        return True
    return type(module).__module__.startswith("torch.nn.") and not isinstance(module, CONTAINERS)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(each)
