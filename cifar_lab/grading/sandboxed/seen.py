"""Images and files that a run's watch saw, in the terms in which the model is then looked at.

Used in the sandbox and by the grader, which relies on none of it: a wrong report costs its author.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

CELL_MARK = "cifar-lab runs code cell"  # written before each cell, with its number
EACH_MIRRORED = 5  # of the test images, every fifth is also looked at in a mirror
CIFAR_SIZE = 32
SMALLEST, LARGEST = 8, 256  # pixels of images that a network is looked at with
LEAST_DEVIATION, MOST_DEVIATION = 1e-4, 1e4


def image_size(watch: Mapping[str, Any]) -> int:
    """Return the height and width of the images that the network was evaluated on, or CIFAR's."""
    shape = watch.get("input_shape")
    if not isinstance(shape, list) or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        return CIFAR_SIZE
    size = shape[3]
    return size if isinstance(size, int) and SMALLEST <= size <= LARGEST else CIFAR_SIZE


def normalisation(watch: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """Return each channel's mean and deviation by which test images were normalised.

    None where images in [0, 1] came as they are, or none was seen.
    """
    seen = watch.get("normalisation")
    if not _is_pair_of_channels(seen):
        return None
    lows, highs = seen
    deviations, means = [], []
    for low, high in zip(lows, highs, strict=True):
        deviation = 1 / (high - low) if high > low else math.inf
        if not LEAST_DEVIATION < deviation < MOST_DEVIATION:
            return None
        deviations.append(deviation)
        means.append(-low * deviation)
    if all(abs(mean) < 1e-3 for mean in means) and all(abs(one - 1) < 1e-3 for one in deviations):
        return None
    return {"mean": means, "std": deviations}


def _is_pair_of_channels(seen: Any) -> TypeGuard[list[list[float]]]:
    return (
        isinstance(seen, list)
        and len(seen) == 2
        and all(isinstance(part, list) and len(part) == 3 for part in seen)
        and all(
            isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e6
            for part in seen
            for one in part
        )
    )


def preferred_files(watch: Mapping[str, Any]) -> list[str]:
    """Return the weights' files that the notebook loaded last, then those it saved last."""
    latest_first = watch.get("loaded", [])[::-1]
    ordered = [name for wanted in ("load", "save") for kind, name in latest_first if kind == wanted]
    return list(dict.fromkeys(ordered))
