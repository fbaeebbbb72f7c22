"""A stand-in for a GPU: numbers on the CPU that count as a GPU's, so that waits can be counted.

Tensors that are made on or moved to "cuda" stay on the CPU, and their memory is noted. From then on
their `device` is "cuda:0"; an operation on noted and on other tensors together raises, as it does
on a GPU; and every operation for which the host would have to wait for a GPU is counted, with the
file of the package that it comes from. It says nothing about a GPU's speed and rounding.

    with StandInGPU() as gpu:
        fit(model, train, recipe, device="cuda")
    assert gpu.waits == {("to the host", "evaluation/prediction.py"): 2}
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.amp.grad_scaler
import torch.cuda.amp.common
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import cifar_lab

GPU = torch.device("cuda", 0)
PACKAGE = Path(cifar_lab.__file__).parent
# The operations that a GPU finishes before the host goes on, since it needs their numbers.
WAITING = {
    "_local_scalar_dense": "item",
    "is_nonzero": "item",
    "nonzero": "nonzero",
    "masked_select": "nonzero",
    "_unique2": "nonzero",
    "bincount": "nonzero",
    "equal": "equal",
}
READING = {"tolist", "numpy", "__array__"}  # of the CPU's memory, without an operation
ONE_HOT = "one_hot"  # looks at its numbers on the CPU, and not on a GPU
MAKING_FROM_NUMBERS = {"tensor", "as_tensor", "asarray", "new_tensor"}
_group = torch._C._group_tensors_by_device_and_dtype
_autocast = torch.autocast


class StandInGPU:
    """A block in which "cuda" is the stand-in.

    Attributes:
        waits: How often the host waited, by reason and file: ("item", "training/losses.py").
        copies_in: How often numbers were sent to the stand-in without waiting, by file.
        capability: The compute capability; that of a T4.
    """

    capability = (7, 5)

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        self.copies_in: Counter[str] = Counter()
        self._memory: dict[int, StorageWeakRef] = {}  # a reference keeps the address from reuse
        self._numbers: dict[int, StorageWeakRef] = {}
        self._off = 0  # how many blocks of `not_watching` are open
        self._blocks = ExitStack()

    def __enter__(self) -> StandInGPU:
        for name, value in {
            "cuda.is_available": lambda: True,
            "cuda.synchronize": lambda device=None: self.wait("synchronize"),
            "cuda.get_device_capability": lambda device=None: self.capability,
            "cuda.amp.common.amp_definitely_not_available": lambda: False,
            "_C._group_tensors_by_device_and_dtype": self._grouped,
            "autocast": lambda device_type, *args, **options: _autocast("cpu", *args, **options),
        }.items():
            self._blocks.enter_context(patch(f"torch.{name}", value))
        for name in ("_cuda_graph_capture_health_check", "_accelerator_graph_capture_health_check"):
            if hasattr(torch.optim.Optimizer, name):
                nothing = patch.object(torch.optim.Optimizer, name, lambda optimizer: None)
                self._blocks.enter_context(nothing)
        self._blocks.enter_context(_Functions(self))
        self._blocks.enter_context(_Operations(self))
        return self

    def __exit__(self, *error: Any) -> None:
        self._blocks.close()

    def wait(self, reason: str) -> None:
        """Count a wait of the host."""
        if not self._off:
            self.waits[reason, _place()] += 1

    @contextmanager
    def not_watching(self) -> Iterator[None]:
        """Neither count nor refuse anything in the block."""
        self._off += 1
        try:
            yield
        finally:
            self._off -= 1

    @property
    def watches(self) -> bool:
        """Return whether operations are looked at."""
        return not self._off

    def holds(self, tensor: Tensor) -> bool:
        """Return whether a tensor is on the stand-in."""
        with torch._C.DisableTorchFunction():
            return tensor.untyped_storage()._cdata in self._memory

    def is_number(self, tensor: Tensor) -> bool:
        """Return whether a tensor is a number that PyTorch made of Python's, for any device."""
        with torch._C.DisableTorchFunction():
            return tensor.untyped_storage()._cdata in self._numbers

    def take(self, tensors: Any) -> None:
        """Note tensors, in any nested containers, as the stand-in's."""
        _note(self._memory, tensors)

    def take_number(self, tensor: Any) -> None:
        """Note a tensor as a number that PyTorch made of Python's."""
        _note(self._numbers, tensor)

    def move(self, tensor: Tensor, device: Any, blocking: bool, options: dict[str, Any]) -> Any:
        """Return a tensor on a device, as `tensor.to(device, **options)`."""
        goes_in = device is not None and torch.device(device).type == "cuda"
        is_in = self.holds(tensor)
        if device is None or goes_in == is_in:
            return tensor.to(**options) if options else tensor
        if not goes_in:
            self.wait("to the host")
        elif blocking:
            self.wait("to the GPU")
        elif not self._off:
            self.copies_in[_place()] += 1
        with self.not_watching():
            moved = tensor.to(dtype=options.get("dtype"), copy=True) if options else tensor.clone()
            moved = moved.to(**options)
        if goes_in:
            self.take(moved)
        return moved

    def _grouped(self, *arguments: Any) -> Any:
        """Group an optimizer's tensors by device; PyTorch does it below all Python."""
        return {
            (GPU if any(self.holds(one) for one in lists[0]) else device, dtype): (lists, at)
            for (device, dtype), (lists, at) in _group(*arguments).items()
        }


class _Functions(TorchFunctionMode):
    """Reads "cuda" as the stand-in in calls of PyTorch's functions, and answers for `device`."""

    def __init__(self, gpu: StandInGPU) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs, name, gpu = dict(kwargs or {}), getattr(func, "__name__", ""), self.gpu
        if name == "__get__" and gpu.holds(args[0]):
            attribute = getattr(func.__self__, "__name__", "")
            return {"device": GPU, "is_cuda": True}.get(attribute) or func(*args)
        if name in ("to", "cpu", "cuda") and isinstance(args[0], Tensor):
            return gpu.move(*_destination(name, *args, **kwargs))
        if name in READING and gpu.holds(args[0]):
            gpu.wait("to the host")
        if name == ONE_HOT:
            with gpu.not_watching():
                made = func(*args, **kwargs)
            if gpu.holds(args[0]):
                gpu.take(made)
            return made
        device = kwargs.get("device")
        if name == "new_tensor" and device is None and gpu.holds(args[0]):
            device = GPU
        if device is None or torch.device(device).type != "cuda":
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise RuntimeError(f"expected a generator on cuda in {name}, found one on the CPU")
        if name in MAKING_FROM_NUMBERS:
            gpu.wait("to the GPU")
        made = func(*args, **{**kwargs, "device": "cpu"})
        gpu.take(made)
        return made


def _destination(
    name: str, tensor: Tensor, *args: Any, non_blocking: bool = False, **options: Any
) -> tuple[Tensor, Any, bool, dict[str, Any]]:
    """Return the arguments of `move` for a call of `tensor.to`, `cpu` or `cuda`."""
    device = options.pop("device", None)
    if name != "to":
        return tensor, name, not non_blocking, options
    for each in args:
        if isinstance(each, Tensor):
            device, options["dtype"] = each.device, each.dtype
        elif isinstance(each, torch.dtype):
            options["dtype"] = each
        elif isinstance(each, str | torch.device):
            device = each
    return tensor, device, not non_blocking, options


class _Operations(TorchDispatchMode):
    """Watches the operations themselves, those of the backward pass too."""

    def __init__(self, gpu: StandInGPU) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs, gpu = kwargs or {}, self.gpu
        if not gpu.watches:
            return func(*args, **kwargs)
        leaves = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        tensors = [each for each in leaves if not gpu.is_number(each)]
        held = [gpu.holds(each) for each in tensors]
        name = func._schema.name.removeprefix("aten::")
        if any(held):
            if name == "copy_" and held[0] != held[1]:
                gpu.wait("to the GPU" if held[0] else "to the host")
                return func(*args, **kwargs)
            if not all(held) and name != "fill_":  # its number is the CPU's to read
                shapes = [tuple(each.shape) for each in tensors]
                raise RuntimeError(
                    f"{name} of tensors on cuda and on the CPU: {shapes}, on cuda: {held}"
                )
            if name in WAITING:
                gpu.wait(WAITING[name])
            if name == "index" and any(each.dtype == torch.bool for each in tensors[1:]):
                gpu.wait("nonzero")
        result = func(*args, **kwargs)
        if name == "scalar_tensor":  # a GPU's would be made there
            gpu.take_number(result)
        elif any(held):
            gpu.take(result)
        return result


def _note(memory: dict[int, StorageWeakRef], tensors: Any) -> None:
    with torch._C.DisableTorchFunction():
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor):
                reference = StorageWeakRef(tensor.untyped_storage())
                memory[reference.cdata] = reference
    if len(memory) > 2000:
        for at in [at for at, reference in memory.items() if reference.expired()]:
            del memory[at]


def _place() -> str:
    """Return the innermost file of the package that is being executed."""
    frame: Any = sys._getframe()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if PACKAGE in path.parents:
            return path.relative_to(PACKAGE).as_posix()
        frame = frame.f_back
    return "elsewhere"
