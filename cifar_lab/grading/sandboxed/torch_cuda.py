"""`torch.cuda`, `torch.mps`, `torch.xpu` and `torch.accelerator` where there is only a CPU."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import torch

from .anything import Anything, Obliging
from .patches import put

NAME = "no GPU: the CPU in its place"
GIB = 2**30
MEMORY = 16 * GIB
CAPABILITY = (7, 5)  # of the GPU that Colab gives without payment
BACKENDS = ("cuda", "mps", "xpu", "mtia")
MPS_QUESTIONS = ((torch.backends.mps, "is_available"), (torch.backends.mps, "is_built"))
MIXED_PRECISION = "amp"  # a module that PyTorch itself needs as it is


class Event(Obliging):
    """A point in time: `elapsed_time` is in milliseconds, as a GPU's event has it."""

    at = 0.0

    def record(self, stream: Any = None) -> None:
        """Take the time."""
        self.at = time.perf_counter()

    def elapsed_time(self, end: Event) -> float:
        """Return the milliseconds from this event to another one."""
        return 1000 * (end.at - self.at)

    def query(self) -> bool:
        """Return that all work is done: on a CPU it is when a call comes back."""
        return True


class Stream(Obliging):
    """A queue of work that is empty at any time."""

    device, device_index, stream_id = torch.device("cpu"), 0, 0

    def record_event(self, event: Event | None = None) -> Event:
        """Record an event, or a new one, and return it."""
        event = event or Event()
        event.record()
        return event

    def query(self) -> bool:
        """Return that all work is done."""
        return True


class Properties(Obliging):
    """The answer of `get_device_properties`."""

    name, total_memory, multi_processor_count = NAME, MEMORY, 40
    major, minor = CAPABILITY

    def __repr__(self) -> str:
        return f"_CudaDeviceProperties(name={NAME!r}, major={self.major}, minor={self.minor})"


def install(stack: ExitStack, *, pretend: bool) -> None:
    """Have these modules answer any call until the stack is closed.

    Args:
        stack: Puts the modules' own functions back.
        pretend: Says that there is one GPU.
    """
    answers = _answers(pretend)
    for name in BACKENDS:
        module = getattr(torch, name, None)
        if isinstance(module, ModuleType):
            _answer_any_call(stack, module, answers)
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is not None:
        found = torch.device("cuda") if pretend else None
        current = {"current_accelerator": lambda *arguments, **options: found}
        _answer_any_call(stack, accelerator, answers | current)
    for backend, name in ((torch.backends.cudnn, "is_available"), *MPS_QUESTIONS):
        answer = _named_as(getattr(backend, name), answers["is_available"])
        put(stack, backend, name, answer)


def _answers(pretend: bool) -> dict[str, Callable[..., Any]]:
    """Return the functions whose results are looked at."""
    results: dict[str, Any] = {
        "is_available": pretend,
        "device_count": int(pretend),
        "current_device": 0,
        "current_device_index": 0,
        "get_device_name": NAME,
        "get_device_capability": CAPABILITY,
        "get_arch_list": [],
        "mem_get_info": (MEMORY - GIB, MEMORY),
        "get_memory_info": (MEMORY - GIB, MEMORY),
        "memory_summary": NAME,
        "memory_snapshot": [],
        "list_gpu_processes": NAME,
        "recommended_max_memory": MEMORY,
        "initial_seed": 0,
    }
    answers = {name: _always(result) for name, result in results.items()}
    answers["get_device_properties"] = lambda *arguments, **options: Properties()
    answers["memory_stats"] = lambda *arguments, **options: Anything()
    for name in ("current_stream", "default_stream"):
        answers[name] = lambda *arguments, **options: Stream()
    answers["get_rng_state"] = lambda *arguments, **options: torch.zeros(16, dtype=torch.uint8)
    answers["get_rng_state_all"] = lambda: [torch.zeros(16, dtype=torch.uint8)]
    answers["make_graphed_callables"] = lambda callables, *arguments, **options: callables
    return answers


def _always(result: Any) -> Callable[..., Any]:
    return lambda *arguments, **options: result


def _answer_any_call(
    stack: ExitStack, module: ModuleType, answers: dict[str, Callable[..., Any]]
) -> None:
    """Replace the public functions and classes of a module, and of those inside of it."""
    for name, value in list(vars(module).items()):
        if isinstance(value, ModuleType):
            if value.__name__ == f"{module.__name__}.{name}" and name != MIXED_PRECISION:
                _answer_any_call(stack, value, answers)
        elif name == "_lazy_init":
            put(stack, module, name, _always(None))
        elif not name.startswith("_") and callable(value):
            put(stack, module, name, _instead(name, value, answers))
    put(stack, module, "__getattr__", _missing)


def _instead(name: str, value: Any, answers: dict[str, Callable[..., Any]]) -> Any:
    """Return something harmless for a function or class; errors, and what is no GPU's, stay."""
    if not str(value.__module__).startswith("torch"):
        return value
    if not inspect.isclass(value):
        return _named_as(value, answers.get(name) or _always(_result(name)))
    if issubclass(value, BaseException) or name.endswith("Storage"):
        return value
    if name.endswith("Tensor"):
        return getattr(torch, name, value)
    if name in ("Event", "Stream"):
        return Event if name == "Event" else Stream
    return type(name, (Obliging,), {})


def _named_as(original: Any, answer: Callable[..., Any]) -> Callable[..., Any]:
    """Name the answer like the original, since PyTorch's compiler asks functions for names."""

    @functools.wraps(original)
    def named(*arguments: Any, **options: Any) -> Any:
        return answer(*arguments, **options)

    return named


def _result(name: str) -> Any:
    """Return plain numbers where the name tells their type: they may be stored with weights."""
    if name.startswith(("is_", "can_", "has_")):
        return False
    return 0 if "memory" in name or "utilization" in name else Anything()


def _missing(name: str) -> Any:
    """Stand for a module's `__getattr__`: another version of PyTorch has what this one lacks."""
    if name.startswith("_"):
        raise AttributeError(name)
    return Anything()
