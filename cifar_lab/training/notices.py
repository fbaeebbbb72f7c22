"""Usual mistakes that are no errors, pointed out in one line before training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import Batches
from cifar_lab.data.image_set import ImageSet
from cifar_lab.models.forward import are_probabilities, logits_in
from cifar_lab.models.inspection import untouched
from cifar_lab.models.layers.normalize import Normalize
from cifar_lab.models.layout import has_hooks
from cifar_lab.models.wrapping import unwrap, unwrapped_parts
from cifar_lab.utils.console import say

TRIED_IMAGES = 16
BEYOND = 0.5  # how far outside of [0, 1] pixels are no more what augmentation gives


def point_out(model: nn.Module, images: Tensor, loss_fn: Any, evaluated: list[Any]) -> None:
    """Print a line for a softmax before the cross-entropy, and for images outside of [0, 1].

    Args:
        model: The network, which is left as it was. One with hooks is not tried out, since a hook
            would see that.
        images: The first training batch, on the model's device.
        loss_fn: The loss that is trained with.
        evaluated: The validation and test data.
    """
    name = type(unwrap(model)).__name__
    if isinstance(loss_fn, nn.CrossEntropyLoss) and _gives_probabilities(model, images):
        say(
            f"{name} ends in a softmax, and the cross-entropy applies another: it learns slowly. "
            "Return the logits, without softmax."
        )
    low, high = (bound.item() for bound in images.aminmax())
    if low >= -BEYOND and high <= 1 + BEYOND:
        return
    found = f"The training images run from {low:.1f} to {high:.1f}"
    if any(isinstance(layer, Normalize) for layer in model.modules()):
        say(
            f"{found}, but {name} normalises images itself and expects [0, 1]. Leave the "
            "normalisation out of the images' transforms."
        )
    elif any(isinstance(data, ImageSet | Batches) for data in evaluated):
        say(
            f"{found}, those to evaluate on from 0 to 1, which {name} will not know. Normalise in "
            "the network (cifar_lab.Normalize), not in the transforms."
        )


def _gives_probabilities(model: nn.Module, images: Tensor) -> bool:
    """Return whether the model's outputs are at least 0, and sum to 1 for each image."""
    network = unwrap(model)
    if has_hooks(network):
        return False
    try:
        with unwrapped_parts(network), untouched(network), torch.no_grad():
            network.eval()
            outputs = logits_in(network(images[:TRIED_IMAGES].clone()))[0].float()
    except Exception:  # training will raise it
        return False
    return are_probabilities(outputs)
