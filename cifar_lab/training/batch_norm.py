"""Batch norm's running statistics, computed anew when training is over."""

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
from cifar_lab.utils.seeding import derive_seed

LARGEST_BATCH = 500  # images; statistics of small batches are too small by what differs among them


def reestimate_norms(model: nn.Module, train: ImageSet, *, seed: int = 0) -> None:
    """Set the running statistics of batch norms to those of the images, by the model's weights.

    What training leaves in them is of augmented and mixed images, and, where weights were averaged,
    of other weights than the average. They become the mean over batches of about the same size,
    each normalised by its own statistics, in float32 and without dropout, as PyTorch's `update_bn`
    computes them (Izmailov et al. 2018, arXiv:1803.05407). A model without batch norm stays as it
    is; modes and PyTorch's global generator do in any case.

    Args:
        model: on the device where it is to be run.
        train: training images, taken as they are.
        seed: of the order of the images, and of what the model draws other than dropout.
    """
    batches = math.ceil(len(train) / LARGEST_BATCH)
    loader = Batches(
        train,
        math.ceil(len(train) / batches),
        shuffle=True,
        seed=seed,
        device=device_of(model),
    )
    with evaluation_mode(model), torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, 0, "norms"))
        update_bn(loader, _WithoutDropout(model))


class _WithoutDropout(nn.Module):
    """A model whose dropout stays off in training mode too: statistics are for evaluation."""

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
