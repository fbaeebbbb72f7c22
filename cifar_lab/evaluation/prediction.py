"""A network's logits for all images of an image set or a loader."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from cifar_lab.data.batches import (
    Loader,
    as_loader,
    batches_on,
    check_class_numbers,
    num_classes_of,
    sources_of,
)
from cifar_lab.data.image_set import ImageSet
from cifar_lab.models.forward import check_logits, device_of
from cifar_lab.models.inspection import evaluation_mode, materialize, require_network
from cifar_lab.models.layout import find_layout, is_written_here
from cifar_lab.models.views import check_views, logits_by_views

EVALUATION_BATCH_SIZE = 500
TRIED_IMAGES = 16  # enough of the first batch to see in which memory layout the network can compute


def predict(
    model: nn.Module,
    data: ImageSet | Loader,
    batch_size: int = EVALUATION_BATCH_SIZE,
    *,
    views: str = "single",
) -> tuple[Tensor, Tensor]:
    """Return the model's logits for all images, and the labels, in the data's order.

    An image set counts each use (`image_set.uses.count`).

    Args:
        model: Takes float images (N, 3, H, W) in [0, 1] and returns logits, or a tuple that begins
            with them; its mode is restored afterwards.
        data: An image set, or a loader of (images, labels), which has its own batches.
        batch_size: The number of images in a batch of an image set.
        views: "single"; or "mirror" or "six" for the weighted mean of the logits over so many views
            of each image, which takes two or six times as long: see `cifar_lab.models.views`.

    Returns:
        The logits (N, num_classes) and the labels (N,), both on the CPU.

    Raises:
        ValueError, TypeError: There are no batches, they are not images and labels, or the model's
            outputs don't match the classes; or the model is a class, not a network; or there are
            no views of that name.

    Example:
        >>> import cifar_lab as lab
        >>> test = lab.load("synthetic").test
        >>> logits, labels = lab.predict(lab.build_model("mlp"), test)
        >>> predictions = logits.argmax(dim=1)  # one class number per image
        >>> predictions.shape == labels.shape == (len(test),)
        True
    """
    by_views, labels = predict_by_views(model, data, views, batch_size)
    return by_views[views], labels


def predict_by_views(
    model: nn.Module, data: ImageSet | Loader, views: str, batch_size: int = EVALUATION_BATCH_SIZE
) -> tuple[dict[str, Tensor], Tensor]:
    """Return the logits for single views and those for the views, and the labels, from one pass.

    Arguments and errors are those of `predict`.

    Returns:
        The logits (N, num_classes) by the name of the views, "single" always among them, and the
        labels (N,), all on the CPU.
    """
    require_network(model)
    check_views(views)
    device = device_of(model)
    num_classes = num_classes_of(data)
    logits = {name: torch.empty(0, device=device) for name in ("single", views)}
    labels = torch.empty(0, dtype=torch.int64, device=device)
    loader = as_loader(data, batch_size, device)
    for source in sources_of(data):
        source.uses.count += 1
    # Not in inference mode: tensors that the network stores in it could not be used in training.
    with evaluation_mode(model), torch.no_grad(), ExitStack() as stack:
        for number, (batch_images, batch_labels) in enumerate(batches_on(loader, device)):
            if number == 0:
                materialize(model, tuple(batch_images.shape[1:]))
            if number == 0 and device.type == "cpu" and is_written_here(model):
                layout = find_layout(model, batch_images[:TRIED_IMAGES])
                stack.enter_context(layout.within(model))
            batch_logits = logits_by_views(model, batch_images, views)
            check_logits(batch_logits["single"], batch_labels, num_classes)
            check_class_numbers(batch_labels)
            # Joined at once: many small tensors would fragment the memory.
            logits = {name: torch.cat([all_, batch_logits[name]]) for name, all_ in logits.items()}
            labels = torch.cat([labels, batch_labels])
    return {name: each.cpu() for name, each in logits.items()}, labels.cpu()
