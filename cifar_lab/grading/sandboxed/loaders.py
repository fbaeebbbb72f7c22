"""Passes over loaders, shortened so that a notebook runs in seconds, with their promises kept."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from cifar_lab.data.batches import Batches

LARGEST_BATCH, LARGEST_PROMISED_BATCH = 32, 128
FULL_PASSES, LATER_BATCHES = 30, 2
# For a few batches, a worker process costs more than it saves; there is no GPU to pin for.
OF_WORKERS = (
    "num_workers",
    "prefetch_factor",
    "persistent_workers",
    "multiprocessing_context",
    "pin_memory",
    "pin_memory_device",
)
PLACE_OF_WORKERS = 5  # among DataLoader's arguments without a name


@dataclass(frozen=True)
class Length:
    """The part of a pass over a loader that is left.

    Attributes:
        batches: Most batches of a pass; None for all.
        later_batches: Most batches after `FULL_PASSES` passes; None for all.
        images: Most images of a batch; None for all.
    """

    batches: int | None = None
    later_batches: int | None = None
    images: int | None = None


LENGTHS = {
    "short": Length(6, LATER_BATCHES, LARGEST_BATCH),
    "long": Length(128, 128),
    "full": Length(images=4),
}


class Shortening:
    """All loaders' passes.

    Attributes:
        happened: Whether a pass or a batch was cut.
    """

    def __init__(self) -> None:
        self.length = Length()
        self.happened = False
        self._passes = itertools.count()
        self._done = 0
        self._running: weakref.WeakKeyDictionary[Any, weakref.ref[Pass]]
        self._running = weakref.WeakKeyDictionary()
        self._told: weakref.WeakKeyDictionary[Any, int | None] = weakref.WeakKeyDictionary()

    def batches_of(self, loader: Any) -> int | None:
        """Return the most batches of the current pass, or of the next one."""
        running = self._running.get(loader, lambda: None)()
        if running is not None and not running.ended:
            return running.batches
        return self._told.setdefault(loader, self._next())

    def begin(self, loader: Any, batches: Iterator[Any]) -> Pass:
        """Begin a pass over the loader, as long as it was said to be."""
        count = self._told.pop(loader, self._next())
        self._done += 1
        begun = Pass(self, loader, batches, count)
        self._running[loader] = weakref.ref(begun)
        return begun

    def _next(self) -> int | None:
        return self.length.batches if self._done < FULL_PASSES else self.length.later_batches

    def cut(self, loader: Any, batch: Any) -> Any:
        """Return the batch's first images and labels, unless whole batches are promised."""
        most = self.length.images
        if most is None:
            return batch
        promised = getattr(loader, "drop_last", False) or _has_own_batches(loader)
        count = _common_length(batch)
        if count is None or count <= (LARGEST_PROMISED_BATCH if promised else most):
            return batch
        self.happened = True
        return _first(batch, most)


class Pass:
    """An iterator over a pass's first batches.

    Attributes:
        batches: Most batches that it gives; None for all.
        ended: Whether it has given its last batch.
    """

    def __init__(
        self, shortening: Shortening, loader: Any, batches: Iterator[Any], count: int | None
    ) -> None:
        self._shortening, self._loader, self._batches = shortening, loader, batches
        self.batches, self.ended = count, False
        self._given = 0

    def __iter__(self) -> Pass:
        return self

    def __next__(self) -> Any:
        if self.ended or self._given == self.batches:
            self._shortening.happened |= not self.ended
            self.ended = True
            raise StopIteration
        try:
            batch = next(self._batches)
        except StopIteration:
            self.ended = True
            raise
        self._given += 1
        return self._shortening.cut(self._loader, batch)

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batches, name)


shortening = Shortening()


def install(length: str) -> None:
    """Shorten all loaders' passes.

    Args:
        length: Length of the passes: "short" for at most 6 batches, later 2, of at most 32 images
            unless whole batches are promised; "long" for 128 batches as they are; "full" for all
            batches, of a few images each.
    """
    shortening.length = LENGTHS[length]
    for loader in (DataLoader, Batches):
        loader.__iter__ = _shortened_pass(loader.__iter__)
        loader.__len__ = _shortened_length(loader.__len__)
    DataLoader.__init__ = _without_workers(DataLoader.__init__)


def _shortened_pass(iterate: Any) -> Any:
    @functools.wraps(iterate)
    def some(self: Any) -> Pass:
        return shortening.begin(self, iterate(self))

    return some


def _shortened_length(length: Any) -> Any:
    @functools.wraps(length)
    def shortened(self: Any) -> int:
        whole = length(self)
        batches = shortening.batches_of(self)
        return whole if batches is None else min(whole, batches)

    return shortened


def _without_workers(construct: Any) -> Any:
    @functools.wraps(construct)
    def without(self: Any, *arguments: Any, **options: Any) -> None:
        for name in OF_WORKERS:
            options.pop(name, None)
        if len(arguments) > PLACE_OF_WORKERS:
            before, behind = arguments[:PLACE_OF_WORKERS], arguments[PLACE_OF_WORKERS + 1 :]
            arguments = (*before, 0, *behind)
        construct(self, *arguments, **options)

    return without


def _has_own_batches(loader: Any) -> bool:
    """Return whether a batch sampler, or the dataset itself, decides what a batch is."""
    return isinstance(loader, DataLoader) and loader.batch_size is None


def _parts(batch: Any) -> list[Any]:
    """Return all that a nest of dicts, tuples and lists holds."""
    if isinstance(batch, dict):
        return [part for value in batch.values() for part in _parts(value)]
    if isinstance(batch, tuple | list):
        return [part for value in batch for part in _parts(value)]
    return [batch]


def _common_length(batch: Any) -> int | None:
    """Return how many images and labels a batch holds; None where it is of another kind."""
    parts = _parts(batch)
    if not all(torch.is_tensor(part) and part.ndim > 0 for part in parts):
        return None
    lengths = {len(part) for part in parts}
    return lengths.pop() if len(lengths) == 1 else None


def _first(batch: Any, count: int) -> Any:
    if isinstance(batch, Tensor):
        return batch[:count]
    if isinstance(batch, dict):
        return type(batch)({name: _first(value, count) for name, value in batch.items()})
    parts = [_first(value, count) for value in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
