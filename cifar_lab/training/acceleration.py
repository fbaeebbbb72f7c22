"""Faster training of any network: a faster memory layout, and faster sequences of layers.

Both are put in for the time of training and taken out again, invisibly to the network's code:
parameters keep their names, objects and order, and a `state_dict` is the plain network's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from cifar_lab.models.layout import Layout, convolutions, find_layout, has_hooks, is_watched
from cifar_lab.models.wrapping import unwrap
from cifar_lab.training.faster_layers import faster_sequences
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.console import say


@dataclass(frozen=True)
class Acceleration:
    """The way in which a network computes while it is trained.

    Attributes:
        layout: The memory layout of the network's features.
        sequences: Whether layers that follow one another in an `nn.Sequential` are computed
            together where that is faster.
    """

    layout: Layout = Layout.PLAIN
    sequences: bool = False

    @contextmanager
    def within(self, model: nn.Module) -> Iterator[None]:
        """Accelerate the model for the block; afterwards it is plain again, also after an error."""
        with ExitStack() as stack:
            stack.enter_context(self.layout.within(model))
            if self.sequences:
                stack.enter_context(faster_sequences(model))
            yield


def find_acceleration(recipe: Recipe, model: nn.Module, images: Tensor) -> Acceleration:
    """Return the acceleration that works for this network.

    A line is printed where the network can't compute channels-last; training is then slower.

    Args:
        recipe: The recipe; its `channels_last` asks for acceleration.
        model: The network, which is left as it was. One with hooks is not tried out, since a hook
            would see that.
        images: A batch to try the layout on, on the model's device.
    """
    if not recipe.channels_last or not convolutions(model):
        return Acceleration()
    layout = find_layout(model, images, train=True)
    if layout is Layout.PLAIN:
        why = "has hooks, which would see" if is_watched(model) else "can't compute on"
        name = type(unwrap(model)).__name__
        say(f"{name} {why} channels-last features; it trains on contiguous ones.")
    sequences = layout is not Layout.PLAIN and not has_hooks(model) and not _is_wrapped(model)
    return Acceleration(layout, sequences)


def _is_wrapped(model: nn.Module) -> bool:
    """Return whether the model or a part is compiled or in DataParallel."""
    return any(unwrap(part) is not part for part in model.modules())
