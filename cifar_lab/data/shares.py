"""Data that several processes read together: alike in each, or a share for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cifar_lab.data.batches import Loader
from cifar_lab.data.image_set import ImageSet
from cifar_lab.utils.ranks import Ranks
from cifar_lab.utils.seeding import (
    random_state,
    random_state_kept,
    seed_generators,
    set_random_state,
)


class AlikeLoader:
    """A custom loader that gives the same batches in every process.

    While it draws, the global generators of PyTorch, numpy and Python are in a state of its own,
    the same in every process; between two batches each process has its own state, for dropout.

    Args:
        iterable: The loader.
        ranks: The processes that read it, each the whole.
        seed: Seeds its draws.

    Raises:
        ValueError: The first batch is not the same in every process (in the iteration).
    """

    def __init__(self, iterable: Loader, ranks: Ranks, seed: int) -> None:
        self.iterable = iterable
        self._ranks = ranks
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        with random_state_kept():
            seed_generators(self._seed)
            batches = iter(self.iterable)
            batch = next(batches, None)
            state = random_state()
        self._refuse_differing(batch)
        while batch is not None:
            yield batch
            with random_state_kept():
                set_random_state(state)
                batch = next(batches, None)
                state = random_state()

    def _refuse_differing(self, batch: Any) -> None:
        if len(set(self._ranks.gather(_digest(batch)))) > 1:
            raise ValueError(
                f"The loader's first batch is not the same in each of the {self._ranks.size} "
                "processes; expected the whole batches in each, of which each trains on its share. "
                "Leave out DistributedSampler, and seed what the loader draws from; or give an "
                "ImageSet."
            )


class ShareLoader:
    """One process's share of the images of a custom loader, to evaluate on.

    Each image goes to one process, whatever the sizes of the batches.

    Args:
        iterable: The loader, which gives the same batches in every process.
        ranks: The processes that share its images.

    Raises:
        ValueError: There are fewer images than processes (in the iteration).
    """

    def __init__(self, iterable: Loader, ranks: Ranks) -> None:
        self.iterable = iterable
        self._ranks = ranks

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rank, size = self._ranks.rank, self._ranks.size
        before = 0
        for images, labels in self.iterable:
            own = slice((rank - before) % size, None, size)
            before += len(labels)
            if len(labels[own]):
                yield images[own], labels[own]
        _refuse_few(before, self._ranks)


def share_of_data(data: ImageSet | Loader, ranks: Ranks, *, seed: int) -> ImageSet | Loader:
    """Return this process's share of data to evaluate on; all of it where it is alone.

    Args:
        data: An image set or a custom loader.
        ranks: The processes that share its images: each image goes to one of them.
        seed: Seeds the draws of a custom loader.

    Raises:
        ValueError: There are fewer images than processes.
    """
    if ranks.size == 1:
        return data
    if not isinstance(data, ImageSet):
        return ShareLoader(AlikeLoader(data, ranks, seed), ranks)
    _refuse_few(len(data), ranks)
    return data.subset(torch.arange(ranks.rank, len(data), ranks.size))


def _refuse_few(count: int, ranks: Ranks) -> None:
    if count < ranks.size:
        raise ValueError(
            f"There are {count} images to evaluate on; expected at least one for each of the "
            f"{ranks.size} processes. Start fewer processes."
        )


def _digest(batch: Any) -> str:
    """Return a text that depends on the pixels and labels of a batch of any kind."""
    digest = hashlib.sha256()
    for part in batch if isinstance(batch, tuple | list) else [batch]:
        if torch.is_tensor(part):
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
