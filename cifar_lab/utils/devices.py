"""The device to run on, the named one or the best available, and tensors on their way to it."""

from __future__ import annotations

import platform

import torch
from torch import Tensor

from cifar_lab.utils.torchrun import local_rank, world_size


def best_device() -> torch.device:
    """Return the best available device, in the course's order: cuda, mps, cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available() and world_size() == 1:
        return torch.device("mps")
    return torch.device("cpu")


def as_device(device: torch.device | str | None) -> torch.device:
    """Return the named device, or the best available one for None.

    Of several processes that torchrun started, each gets its own GPU.

    Raises:
        ValueError: The name is not that of a device, this machine has no such device, or it has
            fewer GPUs than processes.
    """
    if device is None:
        return _own(best_device())
    try:
        chosen = _own(torch.device(device))
        torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"Device {str(device)!r} can't be used here: {str(error).splitlines()[0]} "
            f"Leave it out to use the best one, {best_device().type!r}."
        ) from error
    return chosen


def _own(device: torch.device) -> torch.device:
    """Return the device that this process has alone, of several that torchrun started."""
    if world_size() == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise ValueError(
            f"Processes of torchrun can't share {device.type}; expected cpu or cuda. Train in one "
            "process, without torchrun."
        )
    number, gpus = local_rank(), torch.cuda.device_count()
    if number >= gpus or device.index not in (None, number):
        raise ValueError(
            f"Process {number} of torchrun can't use {device}: each process has the GPU of its "
            f"number, and this machine has {gpus}. Leave the number out, and start torchrun "
            f"--nproc-per-node={max(gpus, 1)}."
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


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
