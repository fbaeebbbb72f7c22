from __future__ import annotations

import pytest
import torch
from torch import nn

from cifar_lab.training.sharing import norms_as_sync, share_of_batch
from cifar_lab.utils.ranks import Ranks


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 53])
def test_every_image_weighs_the_same_in_the_sum(count: int, size: int) -> None:
    labels = torch.arange(count)
    images = labels.view(-1, 1, 1, 1).float()
    weights = torch.zeros(count, dtype=torch.float64)
    sizes = []
    for rank in range(size):
        own, own_labels, weight = share_of_batch(Ranks(rank, size), images, labels)
        assert torch.equal(own.flatten().long(), own_labels)
        sizes.append(len(own_labels))
        weights[own_labels] += weight / len(own_labels)
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / count))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(count, 2)  # batch norm can't train on one image


def test_parts_follow_one_another_in_the_batch() -> None:
    labels = torch.arange(11)
    parts = [share_of_batch(Ranks(rank, 3), labels, labels)[1] for rank in range(3)]
    assert torch.equal(torch.cat(parts), labels)


class CustomNorm(nn.BatchNorm2d):
    pass


def test_norms_are_synchronised_for_a_block_and_stay_the_same_layers() -> None:
    norms = [nn.BatchNorm2d(4), CustomNorm(4), nn.BatchNorm1d(4)]
    model, kinds = nn.ModuleList(norms), [nn.BatchNorm2d, CustomNorm, nn.BatchNorm1d]
    names, images, seen = list(model.state_dict()), torch.rand(2, 4, 8, 8), []
    norms[0].register_forward_pre_hook(lambda layer, inputs: seen.append(type(layer)))
    expected = norms[0].eval()(images)
    with norms_as_sync(model):
        assert [type(each) for each in model] == [nn.SyncBatchNorm, CustomNorm, nn.SyncBatchNorm]
        assert list(model.state_dict()) == names
        assert torch.equal(norms[0](images), expected)
    assert seen == [nn.BatchNorm2d, nn.SyncBatchNorm]  # hooks stay
    assert list(model) == norms
    assert [type(each) for each in model] == kinds
    assert "process_group" not in vars(norms[0])
