"""Random numbers: the same seed gives the same run.

Random numbers are a function of (seed, epoch, purpose), so an epoch's order of images does not
depend on what was drawn before it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from cifar_lab.utils.plain import as_whole


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device, and ask cuDNN for deterministic kernels.

    Args:
        seed: A whole number in [0, 2**32).

    Raises:
        ValueError: The seed is not such a number.

    Example:
        >>> import cifar_lab as lab
        >>> lab.seed_everything(0)
        >>> first = lab.build_model("mlp")
        >>> lab.seed_everything(0)
        >>> second = lab.build_model("mlp")  # the same initial weights
        >>> all((a == b).all() for a, b in zip(first.parameters(), second.parameters()))
        True
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
    """Return the seed as Python's `int`, also one of numpy or a tensor.

    Raises:
        ValueError: The seed is not a whole number that every generator takes.
    """
    try:
        number = as_whole("seed", seed)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32:
        raise ValueError(f"seed is {seed!r}; expected an integer from 0 to 2**32 - 1.")
    return number


def derive_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a seed of 63 bits for one purpose ("order", "dropout", ...) in one epoch of a run."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(
    seed: int, epoch: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a new generator for one purpose in one epoch of a run."""
    return torch.Generator(device).manual_seed(derive_seed(seed, epoch, purpose))


def random_state() -> tuple[Any, ...]:
    """Return the state of the CPU's generators: Python's, numpy's and PyTorch's."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_random_state(state: tuple[Any, ...]) -> None:
    """Set the CPU's generators to a state that `random_state` returned."""
    python, numpy, pytorch = state
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(pytorch)


@contextmanager
def random_state_kept(*, gpus: bool = True) -> Iterator[None]:
    """Restore the global generators of PyTorch, numpy and Python at the end of the block.

    Args:
        gpus: Whether to restore those of GPUs too, which starts CUDA: a process that computes
            nothing on one need not.
    """
    state = random_state()
    try:
        # All GPUs by number: left out, PyTorch warns where there are several, as Kaggle's two T4.
        with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if gpus else []):
            yield
    finally:
        set_random_state(state)
