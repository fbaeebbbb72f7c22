"""The device to run on: the one that is named, or the best available."""

from __future__ import annotations

import platform

import torch


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


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
