"""The versions, the device and the peak memory that a result records."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from cifar_lab.utils.devices import device_name
from cifar_lab.utils.torchrun import world_size


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return what another machine must match to get the same figures: versions, device, threads."""
    packages = ("cifar-lab", "torchvision", "numpy")
    return {
        "device": device.type,
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        **({"processes": world_size()} if world_size() > 1 else {}),  # torchrun's
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # with the build, such as +cu126
        **{package: installed_version(package) for package in packages},
    }


def installed_version(package: str) -> str:
    """Return the version of a package, or "not installed"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def peak_memory_mib(device: torch.device) -> int | None:
    """Return the peak memory in MiB, or None on Windows, where the standard library can't measure.

    On CUDA it is the peak of PyTorch's allocations, elsewhere that of this process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
