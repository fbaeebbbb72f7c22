"""The processes that train one model together, and what they tell each other."""

from __future__ import annotations

import atexit
import os
import pickle
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from cifar_lab.utils.torchrun import is_one_machine, world_size

# A killed process closes its connections, which the others see at once. This is for a machine that
# vanishes, and longer than a slow process may keep the others waiting.
TIMEOUT = timedelta(minutes=10)

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The processes that train together: by default this one alone, which then waits for none.

    All of them call the same methods in the same order.

    Attributes:
        rank: The number of this process, from 0. The first one prints and writes files.
        size: The number of processes.

    Raises:
        ConnectionError: Another process ended or can't be reached (from every method).
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this process is the one that prints and writes files."""
        return self.rank == 0

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes: the same bits in all of them."""
        if self.size > 1:
            _on_flat(tensors, dist.all_reduce)

    def copy_from_first_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by that of the first process."""
        if self.size > 1:
            # As bytes: not every backend knows every dtype.
            _on_flat(tensors, lambda flat: dist.broadcast(flat.view(torch.uint8), src=0))

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _lost_process_told():
            dist.all_gather_object(values, value)
        return values

    def from_first(self, function: Callable[[], T], *, told: Callable[[T], T] | None = None) -> T:
        """Call a function in the first process alone, and return its value in all of them.

        An error is raised in all of them, too.

        Args:
            function: Reads or writes files, say.
            told: Maps the value to what the other processes get; None for the value itself.
        """
        if self.size == 1:
            return function()
        value: Any = None
        error: Exception | None = None
        message = [b""]
        if self.is_first:
            try:
                value = function()
                message = [pickle.dumps((value if told is None else told(value), None))]
            except Exception as raised:
                error = raised
                message = [pickle.dumps((None, error))]
        with _lost_process_told():
            dist.broadcast_object_list(message, src=0)
        if not self.is_first:
            value, error = pickle.loads(message[0])
        if error is not None:
            raise error
        return value


ALONE = Ranks()


def join_ranks() -> Ranks:
    """Return the processes that train together, and connect to the others where torchrun did not.

    That are those that torchrun started, or those of a process group that a script has opened.

    Raises:
        ConnectionError: The others can't be reached.
    """
    if not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        if world_size() == 1:
            return ALONE
        if is_one_machine() and sys.platform == "linux":  # then gloo needs no port beyond it
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        with_nccl = torch.cuda.is_available() and dist.is_nccl_available()
        with _lost_process_told():
            # Numbers and texts of Python travel by gloo in any case: no GPU waits for them.
            dist.init_process_group("cpu:gloo,cuda:nccl" if with_nccl else "gloo", timeout=TIMEOUT)
        atexit.register(_leave)
    return Ranks(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@torch.no_grad()
def _on_flat(tensors: Iterable[Tensor], collective: Callable[[Tensor], Any]) -> None:
    """Change tensors by a collective operation, all of one device and dtype at once."""
    groups: dict[Any, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        groups[tensor.device, tensor.dtype].append(tensor)
    for alike in groups.values():
        flat = torch.cat([each.reshape(-1) for each in alike])
        with _lost_process_told():
            collective(flat)
        parts = flat.split([each.numel() for each in alike])
        for each, part in zip(alike, parts, strict=True):
            each.copy_(part.view(each.shape))


@contextmanager
def _lost_process_told() -> Iterator[None]:
    """Turn PyTorch's errors of a connection into one that says what to do."""
    try:
        yield
    except RuntimeError as error:  # also PyTorch's DistError
        raise ConnectionError(
            "Another process of this run ended or can't be reached. Its own message, if it had "
            "one, is above or in its log. Resume the run from the last epoch that was saved, with "
            "any number of processes, by --resume (resume=True). PyTorch says: "
            f"{str(error).strip().splitlines()[0].partition('. ')[0]}."
        ) from error
