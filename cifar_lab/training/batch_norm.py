"""Batch norm's running statistics, computed again after training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.optim.swa_utils import update_bn

from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet
from cifar_lab.models.forward import device_of
from cifar_lab.models.inspection import evaluation_mode
from cifar_lab.utils.seeding import derive_seed, random_state_kept

LARGEST_BATCH = 500  # images; the variance within small batches is too small


def reestimate_norms(model: nn.Module, train: ImageSet, *, seed: int = 0) -> None:
    """Compute batch norm's running statistics again, from the images and the final weights.

    During training they are collected from augmented and mixed images, and, where weights are
    averaged, with other weights than the average. Here they become the mean over batches of about
    the same size, each normalised by its own statistics, in float32 and without dropout, as
    PyTorch's `update_bn` computes them (Izmailov et al. 2018, arXiv:1803.05407). A model without
    batch norm, modes, and PyTorch's global generator are left as they are.

    Args:
        model: The model, on the device where it runs.
        train: The training images, which are not augmented.
        seed: Seeds the order of the images, and random numbers in the model other than dropout.
    """
    batches = math.ceil(len(train) / LARGEST_BATCH)
    loader = Batches(
        train,
        math.ceil(len(train) / batches),
        shuffle=True,
        seed=seed,
        device=device_of(model),
    )
    with evaluation_mode(model), random_state_kept():
        torch.manual_seed(derive_seed(seed, 0, "norms"))
        update_bn(loader, _WithoutDropout(model))


class _WithoutDropout(nn.Module):
    """A model whose dropout stays off in training mode, since the statistics are for evaluation."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def train(self, mode: bool = True) -> _WithoutDropout:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _DropoutNd):
                module.training = False
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)
