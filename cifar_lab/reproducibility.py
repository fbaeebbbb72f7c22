"""Random numbers and devices: the same seed gives the same run.

Random numbers are a function of (seed, epoch, purpose), so an epoch's order of images does not
depend on what was drawn before it.
"""

from __future__ import annotations

import hashlib
import platform
import random

import numpy as np
import torch

from cifar_lab.plain import as_whole


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device, and ask cuDNN for deterministic kernels.

    Raises:
        ValueError: the seed is not an integer in [0, 2**32).
    """
    seed_generators(check_seed(seed))
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def seed_generators(seed: int) -> None:
    """Seed the generators that networks and loaders draw from: Python's, numpy's and PyTorch's.

    numpy takes 32 bits of the seed.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)  # CUDA and MPS devices too


def check_seed(seed: int) -> int:
    """The seed as Python's `int`, also one of numpy or a tensor.

    Raises:
        ValueError: it is no integer that every generator takes.
    """
    try:
        number = as_whole("seed", seed)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32:
        raise ValueError(f"seed is {seed!r}; expected an integer from 0 to 2**32 - 1.")
    return number


def derive_seed(seed: int, epoch: int, purpose: str) -> int:
    """A seed of 63 bits for one purpose ("order", "dropout", ...) in one epoch of a run."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(
    seed: int, epoch: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A new generator for one purpose in one epoch of a run."""
    return torch.Generator(device).manual_seed(derive_seed(seed, epoch, purpose))


def best_device() -> torch.device:
    """The fastest device there is, in the course's order: cuda, mps, cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def as_device(device: torch.device | str | None) -> torch.device:
    """The named device, or the best one for None.

    Raises:
        ValueError: the name is not a device, or this machine has no such device.
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
    """The GPU's name, or the processor's architecture."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
