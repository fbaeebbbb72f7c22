"""The device to run on, the named one or the best available, and tensors on their way to it."""

from __future__ import annotations

import platform

import torch
from torch import Tensor


def best_device() -> torch.device:
    """Return the best available device, in the course's order: cuda, mps, cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def as_device(device: torch.device | str | None) -> torch.device:
    """Return the named device, or the best available one for None.

    Raises:
        ValueError: The name is not that of a device, or this machine has no such device.
    """
    if device is None:
        return best_device()
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"Device {str(device)!r} can't be used here: {str(error).splitlines()[0]} "
            f"Leave it out to use the best one, {best_device().type!r}."
        ) from error
    return chosen


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device; the host does not wait for a copy to CUDA.

    On MPS it does: there such a copy may read memory that is in other use already (pytorch issues
    139550 and 189690).
    """
    return tensor.to(device, non_blocking=device.type == "cuda")


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
