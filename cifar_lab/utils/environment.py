"""The versions, device and memory that a result notes."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from cifar_lab.utils.devices import device_name


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, device and threads: what another machine must match to find the same figures."""
    packages = ("cifar-lab", "torchvision", "numpy")
    return {
        "device": device.type,
        "device_name": device_name(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # with the build, such as +cu126
        **{package: installed_version(package) for package in packages},
    }


def installed_version(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def peak_memory_mib(device: torch.device) -> int | None:
    """Peak memory in MiB: of CUDA's allocations, or else of this process since it began.

    None on Windows, where the standard library does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
