from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.shares import AlikeLoader, ShareLoader, share_of_data
from cifar_lab.utils.ranks import Ranks
from cifar_lab.utils.seeding import seed_generators


def numbered(sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    """Batches of images whose labels are 0, 1, 2, ..."""
    labels = torch.arange(sum(sizes))
    images = torch.zeros(len(labels), 3, 2, 2) + labels.view(-1, 1, 1, 1)
    return list(zip(images.split(sizes), labels.split(sizes), strict=True))


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("sizes", [[7], [1] * 9, [4, 1, 4, 3]])
def test_each_image_of_a_loader_goes_to_one_process(sizes: list[int], size: int) -> None:
    shares = []
    for rank in range(size):
        batches = list(ShareLoader(numbered(sizes), Ranks(rank, size)))
        assert all((images[:, 0, 0, 0] == labels).all() for images, labels in batches)
        shares.append(torch.cat([labels for _, labels in batches]))
    assert sorted(torch.cat(shares).tolist()) == list(range(sum(sizes)))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [2, 3, 50])
def test_each_image_of_a_set_goes_to_one_process(train: ImageSet, size: int) -> None:
    shares = [share_of_data(train, Ranks(rank, size), seed=0) for rank in range(size)]
    assert all(isinstance(share, ImageSet) for share in shares)
    whole = sorted(image.tobytes() for image in train.images.numpy())
    assert whole == sorted(
        image.tobytes()
        for share in shares
        if isinstance(share, ImageSet)
        for image in share.images.numpy()
    )
    assert {share.role for share in shares if isinstance(share, ImageSet)} == {train.role}


def test_one_process_gets_all(train: ImageSet) -> None:
    assert share_of_data(train, Ranks(), seed=0) is train


def test_fewer_images_than_processes_are_refused(train: ImageSet) -> None:
    with pytest.raises(ValueError, match="There are 50 images to evaluate on; expected"):
        share_of_data(train, Ranks(0, 51), seed=0)
    with pytest.raises(ValueError, match="There are 2 images"):
        list(ShareLoader(numbered([1, 1]), Ranks(0, 3)))


def order(loader: Any) -> list[int]:
    return [int(label) for _, labels in loader for label in labels]


def drawing_batches() -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(3):
        labels = torch.randint(1000, (4,))
        labels[0], labels[1] = random.randrange(1000), int(np.random.randint(1000))
        yield torch.zeros(4, 3, 2, 2), labels


class Drawing:
    """A loader that draws for each batch from each of the three global generators."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return drawing_batches()


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(TensorDataset(*numbered([20])[0]), batch_size=6, shuffle=True),
        Drawing(),
    ],
)
def test_a_loader_draws_alike_whatever_is_drawn_between_its_batches(loader: Any) -> None:
    seed_generators(3)
    plain = order(loader)
    seed_generators(4)
    found = []
    for _, labels in AlikeLoader(loader, Ranks(), seed=3):
        found += labels.tolist()
        torch.rand(5), random.random(), np.random.rand()  # dropout, say
    assert found == plain


def test_dropout_between_batches_draws_as_without_a_loader() -> None:
    seed_generators(5)
    expected = [float(torch.rand(())) for _ in range(3)]
    seed_generators(5)
    assert [float(torch.rand(())) for _ in AlikeLoader(Drawing(), Ranks(), seed=0)] == expected
