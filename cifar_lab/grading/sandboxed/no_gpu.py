"""A GPU in name only: what a notebook sends to one stays on the CPU."""

from __future__ import annotations

import functools
import importlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FunctionType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._device import DeviceContext

from . import torch_cuda
from .patches import put

DEVICE = re.compile(r"(?:cuda|mps|xpu|hpu|xla|mtia)(?::\d+)?")
TENSOR_TYPE = re.compile(r"torch\.(?:cuda|xpu|mps)\.(\w+Tensor)")
ASKS_FOR_A_GPU = re.compile(
    r"\b(?:is_available|is_built|device_count|is_cuda|is_mps|current_accelerator|pynvml|GPUtil"
    r"|is_bf16_supported|list_physical_devices|COLAB_GPU|nvidia[-_]smi)\b"
)
NAMES_A_GPU = re.compile(r"\b(?:gpus?|cuda|mps|nvidia|accelerators?)\b", re.IGNORECASE)
MOVES = ("cuda", "mps", "xpu", "hpu", "mtia", "pin_memory")


def mentions_accelerator(sources: Iterable[str]) -> bool:
    """Return whether code asks if there is a GPU, and may do something else without one."""
    return any(ASKS_FOR_A_GPU.search(source) for source in sources)


def names_accelerator(text: str) -> bool:
    """Return whether an error's text speaks of a GPU, as of a library that was told to use one."""
    return NAMES_A_GPU.search(text) is not None


@contextmanager
def replaced_by_cpu(*, pretend: bool) -> Iterator[None]:
    """Take every GPU for the CPU, in this thread and in those that it starts.

    Args:
        pretend: Says that there is one GPU, where code asks for it, instead of none.
    """
    # The first optimizer imports it; and it looks at torch.cuda's functions as they are by nature.
    importlib.import_module("torch._dynamo")
    with ExitStack() as stack:
        for holder, name, value in _replacements():
            put(stack, holder, name, value)
        torch_cuda.install(stack, pretend=pretend)
        stack.enter_context(OnCPU())
        yield


class OnCPU(TorchFunctionMode):
    """A mode that sees PyTorch's functions and tensor methods, and reads "cuda" as "cpu"."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.device:  # an object that names a device is no use of it
            return _device(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in MOVES and args and isinstance(args[0], torch.Tensor):
            return args[0]
        if name == "to" and len(args) > 1 and _is_index(args[1]):
            args = (args[0], "cpu", *args[2:])
        if name == "_parse_to" and args and _is_index(args[0]):
            args = ("cpu", *args[1:])
        if kwargs:
            kwargs = {option: _on_cpu(option, value) for option, value in kwargs.items()}
        return func(*[cpu(value) for value in args], **kwargs)


def _on_cpu(option: str, value: Any) -> Any:
    if option == "pin_memory":
        return False
    return "cpu" if option == "device" and _is_index(value) else cpu(value)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _device(*arguments: Any, **options: Any) -> torch.device:
    """Return `torch.device`; a number alone names a GPU, even where PyTorch has none."""
    if len(arguments) == 1 and _is_index(arguments[0]):
        return torch.device("cuda", arguments[0])
    return torch.device(*arguments, **options)


def cpu(value: Any) -> Any:
    """Return the CPU's name or device in a GPU's place, and what is neither as it is."""
    if isinstance(value, str):
        if DEVICE.fullmatch(value):
            return "cpu"
        kind = TENSOR_TYPE.fullmatch(value)
        return f"torch.{kind[1]}" if kind else value
    if isinstance(value, torch.device) and DEVICE.fullmatch(value.type):
        return torch.device("cpu")
    return value


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    """Yield what a function mode does not see: holder, name and what to put there."""
    yield torch, "load", _load(torch.load)
    yield torch.jit, "load", _load(torch.jit.load)
    yield torch, "set_default_tensor_type", _with_cpu(torch.set_default_tensor_type)
    yield DeviceContext, "__init__", _with_cpu(DeviceContext.__init__)  # of `with device:`, too
    yield torch, "set_default_device", _with_cpu(torch.set_default_device)
    yield torch, "Generator", _generator(torch.Generator)
    yield (
        torch.amp.autocast_mode.autocast,
        "__init__",
        _full_precision(torch.amp.autocast_mode.autocast.__init__),
    )
    yield torch.amp.GradScaler, "__init__", _unscaled(torch.amp.GradScaler.__init__)
    yield torch.profiler.profile, "__init__", _of_cpu(torch.profiler.profile.__init__)
    yield nn.DataParallel, "__init__", _alone
    yield torch.Tensor, "record_stream", lambda self, stream: None
    # The mode is off inside of each function that it sees, and so in what backward() calls back.
    for module in (torch.autograd, torch.autograd.graph):
        with suppress(AttributeError):
            run: Callable[..., Any] = module._engine_run_backward
            yield module, "_engine_run_backward", _seen(run)
    yield threading.Thread, "start", _start(threading.Thread.start)


def _with_cpu(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        options = {name: _on_cpu(name, value) for name, value in options.items()}
        first = ["cpu" if _is_index(value) else cpu(value) for value in arguments]
        return function(*first, **options)

    return wrapped


def _load(load: Any) -> Any:
    @functools.wraps(load)
    def to_cpu(file: Any, map_location: Any = None, *arguments: Any, **options: Any) -> Any:
        """Load weights to the CPU, also those that were stored on a GPU."""
        if isinstance(map_location, dict):
            map_location = {cpu(source): cpu(target) for source, target in map_location.items()}
            map_location.setdefault("cuda:0", "cpu")
        elif not isinstance(map_location, FunctionType):
            map_location = "cpu"
        return load(file, map_location, *arguments, **options)

    return to_cpu


def _generator(real: Any) -> Any:
    """Return a class in place of `torch.Generator` whose instances are the real one's."""

    class GeneratorType(type(real)):  # type: ignore[misc]
        def __call__(cls, device: Any = "cpu") -> Any:
            return real(device="cpu" if _is_index(device) else cpu(device))

        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, real)

        def __subclasscheck__(cls, kind: Any) -> bool:
            return issubclass(kind, real)

    return GeneratorType("Generator", (real,), {"__module__": "torch", "__doc__": real.__doc__})


def _full_precision(construct: Any) -> Any:
    @functools.wraps(construct)
    def without(self: Any, device_type: Any, *arguments: Any, **options: Any) -> None:
        """Leave out mixed precision: it serves speed, and a CPU lacks it or has it only slower."""
        if isinstance(device_type, str):
            construct(self, "cpu", dtype=torch.bfloat16, enabled=False)
        else:
            construct(self, device_type, *arguments, **options)

    return without


def _unscaled(construct: Any) -> Any:
    @functools.wraps(construct)
    def disabled(self: Any, device: Any = "cuda", *arguments: Any, **options: Any) -> None:
        """Disable scaling: in full precision there is nothing to scale."""
        construct(self, "cpu", enabled=False)

    return disabled


def _of_cpu(construct: Any) -> Any:
    @functools.wraps(construct)
    def on_cpu(self: Any, *, activities: Any = None, **options: Any) -> None:
        """Construct a profiler that does not look for GPUs and warn of each missing one."""
        construct(self, activities=[torch.profiler.ProfilerActivity.CPU], **options)

    return on_cpu


def _alone(
    self: Any, module: nn.Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
) -> None:
    """Construct a `DataParallel` without any device, which calls the module itself."""
    nn.Module.__init__(self)
    self.module = module
    self.device_ids = []
    self.output_device, self.dim = None, dim


def _seen(function: Any) -> Any:
    @functools.wraps(function)
    def inside(*arguments: Any, **options: Any) -> Any:
        with OnCPU():
            return function(*arguments, **options)

    return inside


def _start(start: Any) -> Any:
    @functools.wraps(start)
    def with_mode(self: threading.Thread) -> None:
        """Start the thread in a mode of its own: each thread has its modes."""
        self.run = _seen(self.run)
        start(self)

    return with_mode
