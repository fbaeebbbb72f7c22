"""A small image set and a short recipe, for fixtures and for tests that run in other processes."""

from __future__ import annotations

import torch

from cifar_lab.data import synthetic
from cifar_lab.data.image_set import ImageSet, Role
from cifar_lab.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=16, optimizer="adam", learning_rate=1e-3, precision="fp32")


def synthetic_set(role: Role, count: int, seed: int) -> ImageSet:
    """Draw an image set."""
    pixels, labels = synthetic.draw(count, seed=seed)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return ImageSet(images, torch.from_numpy(labels), role, synthetic.CLASS_NAMES, "synthetic")
