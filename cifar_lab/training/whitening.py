"""Whitening layers, computed from training images before the first epoch."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import Loader, batches_on
from cifar_lab.data.image_set import ImageSet, to_unit_interval
from cifar_lab.data.leakage import Guarded
from cifar_lab.models.forward import device_of, run_model
from cifar_lab.models.inspection import evaluation_mode
from cifar_lab.models.layers.whitening import Whitening

WHITENED_IMAGES = 2000  # whitening is computed from these: two million patches


def compute_whitening(model: nn.Module, train: ImageSet | Loader) -> None:
    """Compute the model's whitening layers from training images, if they are not computed yet.

    Args:
        model: The model, on the device where it is trained.
        train: The training images; the first 2000 are used, or the first batch of a loader.

    Raises:
        LeakedTestImagesError: The batch holds test images.
        ValueError: The model can't take the images.
    """
    layers = [each for each in model.modules() if isinstance(each, Whitening) and not each.computed]
    if not layers:
        return
    device = device_of(model)
    if isinstance(train, ImageSet):
        images = to_unit_interval(train.images[:WHITENED_IMAGES]).to(device)
    else:
        images = next(batches_on(Guarded(train, "training"), device))[0]

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Whitening)
        layer.compute_from(inputs[0])
        raise _SeenError  # the layers after it would only take time and memory

    for layer in layers:
        hook = layer.register_forward_pre_hook(look)
        try:
            with evaluation_mode(model), torch.no_grad(), suppress(_SeenError):
                run_model(model, images)
        finally:
            hook.remove()


class _SeenError(Exception):
    """A signal that ends a forward pass at a whitening layer."""
