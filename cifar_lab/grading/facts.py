"""Figures and hints beside the verdicts: what an instructor wants to see of a whole class.

No code of a student's is run for them: they are taken from what the checks have asked for, and from
the weights' file. They are no verdicts, and no points hang on them. A hint is a reason to look, and
no proof.
"""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from cifar_lab.grading.checks.model import counted_numbers
from cifar_lab.grading.checks.report import training_seconds
from cifar_lab.grading.checks.results import reported
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.likeness import own_cell_digests
from cifar_lab.grading.outcomes import sample_of_training
from cifar_lab.grading.reading.curves import printed_history
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.sandboxed.seen import EACH_MIRRORED
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.utils.environment import installed_version

NAME_OF_WEIGHTS = re.compile(r"[\w.-]{1,60}", re.ASCII)
MOST_EPOCHS = 2_000
IN_PERCENT = ("train_accuracy", "validation_accuracy", "test_accuracy")
IN_HISTORY = ("epoch", *IN_PERCENT, "train_loss", "validation_loss", "test_loss")
# Percentage points by which an honest network is never better on test images. Measured on CIFAR:
# convolutional networks and perceptrons with and without augmentation, underfit and overfit ones,
# at most 0.8 and 1.6; networks that were trained on the test images 10 to 88 and 9 to 88.
FAR_ABOVE_TRAINING, FAR_ABOVE_MIRRORED = 6.0, 8.0


def facts_of(evidence: Evidence) -> dict[str, Any]:
    """Return what is known of a submission beside its verdicts, as JSON.

    Every part may be missing: it is there where the checks have seen it.

    Args:
        evidence: Evidence that the checks were made with.
    """
    found: dict[str, Any] = {"versions": _versions()}
    with suppress(SubmissionError, NotMadeError):
        found["code_cells"] = own_cell_digests(
            [cell.source for cell in evidence.cells() if cell.runs], evidence.settings.template
        )
        found["history"] = _history(evidence)
        printed = reported(evidence)
        found["reported_accuracy"] = printed[-1] if printed else None
        seconds = training_seconds(evidence)[0] if evidence.was_asked_to_run else None
        found["training_minutes"] = None if seconds is None else round(seconds / 60, 2)
    looked = evidence.known_look()
    if looked is not None:
        found |= _of_model(looked["answer"], evidence)
        found["hints"] = list(_hints(looked, found, evidence))
    elif evidence.was_asked_to_run:
        stored = evidence.stored_weights()
        found |= {"weights_sha256": stored.get("sha256") or None, "hints": list(_shipped(stored))}
    return found


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "ipython": installed_version("ipython"),
    }


def _history(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the epochs in the manifest, or else those that the notebook prints."""
    given = evidence.submission.manifest.get("history")
    entries = [_figures(one) for one in given[:MOST_EPOCHS]] if isinstance(given, list) else []
    return list(filter(None, entries)) or printed_history(evidence.cells())[:MOST_EPOCHS]


def _figures(entry: Any) -> dict[str, Any]:
    """Return the figures of an epoch that are such."""
    if not isinstance(entry, Mapping):
        return {}
    found = {name: entry[name] for name in IN_HISTORY if is_number(entry.get(name))}
    return {
        name: value
        for name, value in found.items()
        if math.isfinite(value) and (name not in IN_PERCENT or 0 <= value <= 100)
    }


def _of_model(looks: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Return the model's size, and the digest of its weights."""
    found: dict[str, Any] = {}
    with suppress(SubmissionError, NotMadeError):
        found["parameters"] = counted_numbers(evidence.seen("size"), evidence.settings)
    digest = _compared(looks).get("sha256")
    found["weights_sha256"] = digest if isinstance(digest, str) and digest else None
    return found


def _compared(looks: Mapping[str, Any]) -> Mapping[str, Any]:
    weights = looks.get("weights")
    compared = weights.get("value") if isinstance(weights, Mapping) else None
    return compared if isinstance(compared, Mapping) else {}


def _shipped(weights: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield a hint where weights are those of the package."""
    shipped = weights.get("shipped")
    if isinstance(shipped, str) and NAME_OF_WEIGHTS.fullmatch(shipped):
        yield {
            "kind": "shipped weights",
            "text": f"The weights are those that the package ships as {shipped}, or were trained "
            "on from them.",
        }


def _hints(
    looked: Mapping[str, Any], found: dict[str, Any], evidence: Evidence
) -> Iterator[dict[str, str]]:
    """Yield what is worth a look, and add the measured accuracy to what was found."""
    yield from _shipped(_compared(looked["answer"]))
    try:
        accuracies = _accuracies(looked["arrays"], evidence)
    except NotMadeError:
        return
    if "test" not in accuracies:
        return
    test = accuracies["test"]
    found["measured_accuracy"] = round(test, 3)
    others = [
        f"{accuracies[name]:.1f} % of {text}"
        for name, text, same, far in (
            ("training", "a sample of the training images", "test", FAR_ABOVE_TRAINING),
            ("mirrored", "the test images in a mirror", "some test", FAR_ABOVE_MIRRORED),
        )
        if name in accuracies and accuracies[same] - accuracies[name] > far
    ]
    if others:
        yield {
            "kind": "memorised",
            "text": f"The network is right on {test:.1f} % of the test images, and only on "
            f"{' and on '.join(others)}: it may have seen the test images in training.",
        }


def _accuracies(arrays: Mapping[str, np.ndarray], evidence: Evidence) -> dict[str, float]:
    """Return the accuracy on test images, on some in a mirror and on training images, in percent.

    Of images in [0, 1] and normalised ones, those on which the network does better.
    """
    test = evidence.test_images().labels.numpy()
    training = sample_of_training(evidence.settings).labels.numpy()
    ways: list[dict[str, float]] = []
    for way in ("logits", "normalised_logits"):
        right = {
            "test": _right(arrays.get(way), test),
            "mirrored": _right(arrays.get(f"mirrored_{way}"), test[::EACH_MIRRORED]),
            "training": _right(arrays.get(f"training_{way}"), training),
        }
        if right["test"] is not None:
            right["some test"] = right["test"][::EACH_MIRRORED]
        ways.append(
            {name: 100 * float(one.mean()) for name, one in right.items() if one is not None}
        )
    return max(ways, key=lambda found: found.get("test", -1.0))


def _right(logits: np.ndarray | None, labels: np.ndarray) -> np.ndarray | None:
    """Return whether each answer is right; None where there are none."""
    if logits is None or logits.ndim != 2 or len(logits) != len(labels) or not logits.shape[1]:
        return None
    return logits.argmax(axis=1) == labels
