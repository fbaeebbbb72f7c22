"""Loaders are shortened where a notebook is graded, and keep what they promise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from cifar_lab.data.batches import Batches
from cifar_lab.grading.sandboxed import loaders


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[loaders.Shortening]:
    yield from lengthened(monkeypatch, "short")


def lengthened(monkeypatch: pytest.MonkeyPatch, length: str) -> Iterator[loaders.Shortening]:
    for loader in (DataLoader, Batches):
        for name in ("__init__", "__iter__", "__len__"):
            monkeypatch.setattr(loader, name, vars(loader)[name])
    shortening = loaders.Shortening()
    monkeypatch.setattr(loaders, "shortening", shortening)
    loaders.install(length)
    yield shortening


NUMBERS = TensorDataset(torch.arange(1000), torch.arange(1000))


def test_a_loader_is_as_long_as_it_says_in_every_pass(short: loaders.Shortening) -> None:
    loader, lengths = DataLoader(NUMBERS, batch_size=10, shuffle=True), []
    for _ in range(40):
        batches = iter(loader)
        for _ in range(len(loader)):
            next(batches)
        with pytest.raises(StopIteration):
            next(batches)
        announced = len(loader)
        assert announced == len(list(loader))
        lengths.append(announced)
    assert set(lengths) == {6, 2}
    assert short.happened
    assert len(loader.dataset) == 1000


def test_what_was_announced_before_other_passes_still_holds(short: loaders.Shortening) -> None:
    loader = DataLoader(NUMBERS, batch_size=10)
    announced = len(loader)
    for _ in range(loaders.FULL_PASSES):
        next(iter(DataLoader(NUMBERS)))
    assert len(list(loader)) == announced == 6
    assert len(list(loader)) == len(loader) == 2


def sizes(loader: Any) -> set[int]:
    return {len(batch[0]) for batch in loader}


def test_batches_are_cut_unless_full_ones_are_promised(short: loaders.Shortening) -> None:
    assert sizes(DataLoader(NUMBERS, 64)) == {32}
    assert sizes(DataLoader(NUMBERS, 64, drop_last=True)) == {64}
    assert sizes(DataLoader(NUMBERS, 128, drop_last=True)) == {128}
    assert sizes(DataLoader(NUMBERS, 256, drop_last=True)) == {32}
    by_hand = [list(range(start, start + 40)) for start in range(0, 1000, 40)]
    assert sizes(DataLoader(NUMBERS, batch_sampler=by_hand)) == {40}
    assert sizes(DataLoader(NUMBERS, 16)) == {16}


def test_nested_batches_are_cut_and_others_left_as_they_are(short: loaders.Shortening) -> None:
    class Named(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> Any:
            return {"image": torch.zeros(3), "about": (index, torch.ones(2))}

    batch = next(iter(DataLoader(Named(), batch_size=64)))
    assert batch["image"].shape == (32, 3)
    assert [len(part) for part in batch["about"]] == [32, 32]

    def with_names(items: list[Any]) -> Any:
        return torch.stack([item["image"] for item in items]), [str(item) for item in items]

    images, names = next(iter(DataLoader(Named(), batch_size=64, collate_fn=with_names)))
    assert len(images) == len(names) == 64
    assert next(iter(DataLoader(Named(), batch_size=None)))["image"].shape == (3,)


class Endless(IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[int]:
        return iter(range(10**9))


def test_a_loader_without_a_length_has_none_and_ends(short: loaders.Shortening) -> None:
    loader = DataLoader(Endless(), batch_size=8, num_workers=2, prefetch_factor=2)
    with pytest.raises(TypeError):
        len(loader)
    assert len(list(loader)) == 6
    assert loader.num_workers == 0
    assert DataLoader(NUMBERS, 8, False, None, None, 4).num_workers == 0


def test_longer_passes_are_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in lengthened(monkeypatch, "long"):
        loader = DataLoader(NUMBERS, batch_size=2)
        for _ in range(loaders.FULL_PASSES + 3):
            assert len(list(loader)) == len(loader) == 128
        assert sizes(DataLoader(NUMBERS, 500)) == {500}


def test_full_passes_have_all_their_batches_of_few_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for shortening in lengthened(monkeypatch, "full"):
        loader = DataLoader(NUMBERS, batch_size=2)
        assert len(list(loader)) == len(loader) == 500
        assert not shortening.happened
        assert sizes(DataLoader(NUMBERS, 50)) == {4}
        assert shortening.happened
