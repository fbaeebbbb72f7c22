"""The processes that torchrun started for one run, as its environment variables tell them.

PyTorch is imported late, so that every command can ask.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def world_size() -> int:
    """Return the number of processes that train together; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if all(os.environ.get(name) for name in NAMES) else 1


def local_rank() -> int:
    """Return the number of this process among those on this machine, from 0."""
    return int(os.environ["LOCAL_RANK"]) if world_size() > 1 else 0


def is_one_machine() -> bool:
    """Return whether all processes run on this machine."""
    return world_size() == 1 or os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]


def is_writer() -> bool:
    """Return whether this process is the one that prints and writes files: that of rank 0."""
    return world_size() == 1 or os.environ["RANK"] == "0"


def command_words() -> list[str]:
    """Return the words that start the command line: torchrun's, where it started this process."""
    if world_size() == 1:
        return ["cifar-lab"]
    here = os.environ.get("LOCAL_WORLD_SIZE", str(world_size()))
    return ["torchrun", f"--nproc-per-node={here}", "-m", "cifar_lab"]


def refuse_torchrun(what: str) -> None:
    """Raise a ValueError where torchrun started this process, but `what` starts its own."""
    if world_size() > 1:
        raise ValueError(
            f"{what} starts processes of its own, and torchrun has started {world_size()} for one "
            "run; expected one of the two. Leave out torchrun for many runs at a time."
        )


def hint_for_gpus(device: torch.device, arguments: Sequence[str]) -> str | None:
    """Return a line on how one run uses all of a machine's GPUs; None where it does, or has one.

    Args:
        device: The device of the run; one with a number is a choice of that GPU.
        arguments: The arguments of `cifar-lab`, such as ["run", "frontier"].
    """
    if device.type != "cuda" or device.index is not None or world_size() > 1:
        return None
    import torch

    gpus = torch.cuda.device_count()
    if gpus < 2:
        return None
    command = shlex.join(["torchrun", f"--nproc-per-node={gpus}", "-m", "cifar_lab", *arguments])
    return (
        f"This run uses one of {gpus} GPUs. To use all of them for it: {command} (for several runs "
        f"at a time: --jobs {gpus})"
    )
