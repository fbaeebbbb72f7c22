"""Several views of each image at test time, whose logits are averaged."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from cifar_lab.models.forward import logits_in, run_model
from cifar_lab.utils.errors import unknown_name

VIEWS = {"single": 1, "mirror": 2, "six": 6}  # with the number of forward passes of each image


def check_views(views: str) -> None:
    """Raise a ValueError where there are no views of that name."""
    if views not in VIEWS:
        raise unknown_name("views", views, VIEWS)


def logits_by_views(model: nn.Module, images: Tensor, views: str = "single") -> dict[str, Tensor]:
    """Return the model's logits (N, num_classes) for the images alone, and their mean over views.

    Where the model returns no tensor, that is returned alone, for `check_logits` to explain.

    Args:
        model: Takes images and returns logits, or a tuple that begins with them.
        images: The images (N, C, H, W).
        views: "single" for the image alone; "mirror" for the image and its mirror image; "six" for
            these two at half the weight, and at a quarter each both of them shifted by a pixel,
            to the bottom right and to the top left, with the edge mirrored into the gap.

    Returns:
        The logits by the name of the views: those of "single" first.

    Source: six views with these weights, Jordan 2024 (arXiv:2404.00498).
    """
    single = logits_in(run_model(model, images))[0]
    if views == "single" or not torch.is_tensor(single):
        return {"single": single}
    (_, weight), *others = _weighted_views(images, views)
    total = weight * single
    for view, weight in others:
        total = total + weight * logits_in(run_model(model, view))[0]
    return {"single": single, views: total}


def _weighted_views(images: Tensor, views: str) -> Iterator[tuple[Tensor, float]]:
    """Yield each view and its weight, the images themselves first."""
    shifted = []
    if views == "six":
        height, width = images.shape[2:]
        padded = functional.pad(images, [1] * 4, mode="reflect")
        shifted = [padded[:, :, :height, :width], padded[:, :, 2:, 2:]]
    for view, weight in ((images, 1 / 2 if shifted else 1.0), *((each, 1 / 4) for each in shifted)):
        yield view, weight / 2
        yield view.flip(3), weight / 2
