"""The meaning of a child's end for a submission, and the test images, which stay in the parent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from cifar_lab.data.cifar import DATASETS
from cifar_lab.data.datasets import default_root, load
from cifar_lab.data.image_set import ImageSet
from cifar_lab.data.mirrors import spec_for
from cifar_lab.grading.isolation.sandbox import Outcome
from cifar_lab.grading.sandboxed.seen import CELL_MARK
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.utils.errors import CorruptedDataError, DatasetUnavailableError

SHOWN_CHARACTERS = 600
MOST = 2**53  # larger numbers are no counts, and take long to write down
MOST_TEXT = 100_000
TRAINING_SAMPLE = 2_000  # images
MOST_ITEMS = 20_000  # of a list: more are not looked through
DIGEST = re.compile(r"[0-9a-f]{64}")
MARKED = re.compile(rf"^{re.escape(CELL_MARK)} (\d{{1,6}})\n?", re.MULTILINE)
OPTIMIZER = {
    "parameters": int,
    "network": int,
    "steps": int,
    "looked_at": int,
    "not_cleared": int,
    "digest": str,
    "like": str,
}
ERROR: dict[str, Any] = {"cell": int, "cells": int, "kind": str, "text": str, "source": str}
ERROR_MAY_HAVE: dict[str, Any] = {  # where it lacks them, they are false or empty
    "line": int,
    "causes": [str],
    "in_library": bool,
    "in_python": bool,
    "network": bool,
    "command": bool,
    "program": bool,
    "environment": bool,
    "asks": bool,
    "time": bool,
}
MODEL = {
    "type": str,
    "digest": str,
    "trained": str,
    "shapes": dict,
    "parameters": int,
    "reached_in_training": [str],
}
# Outline of the answer to running a notebook: an answer of another form may be forged.
WATCH: dict[str, Any] = {
    "optimizers": [OPTIMIZER],
    "saved": dict,
    "test_batches": {"eval mode": int, "train mode": int, "with gradients": int},
    "losses": int,
    "losses_of_shares": int,
    "seeds": list,
    "cudnn_deterministic": bool,
    "cudnn_benchmark": bool,
    "saved_after_training": bool,
    "loaded_after_saving": bool,
    "tested_after_loading": bool,
    "shortened": bool,
    "loaded": [list],
}


class EndedError(SubmissionError):
    """The process in which a notebook ran, or its model was looked at, gave no answer.

    Args:
        cell: Number of the code cell that ran last; None where it is not known.
        owner: Name of the check that fails by it.
        seen: Sentence on what was found.
        remedy: Sentence on what the student can do.
    """

    def __init__(self, cell: int | None, owner: str, seen: str, remedy: str) -> None:
        super().__init__(owner, seen, remedy)
        self.cell = cell


def _last_cell(stderr: str) -> int | None:
    """Return the number of the cell that the sandbox's own part named last."""
    found = MARKED.findall(stderr)
    return int(found[-1]) if found else None


def answer_of(
    outcome: Outcome, owner: str, is_complete: Callable[[Any], bool] = lambda answer: True
) -> dict[str, Any]:
    """Return the answer and its arrays.

    Args:
        outcome: Outcome of the child.
        owner: Name of the check that fails where there is no answer.
        is_complete: Returns whether an answer has what the checks look into.

    Raises:
        SubmissionError: The child answered something else.
        EndedError: The child did not come to its end.
    """
    if outcome.status == "ok" and outcome.answer is not None:
        if not is_complete(outcome.answer):
            raise SubmissionError(
                owner,
                "The process in which the notebook ran gave an answer of its own making.",
                "Take out what ends the process, or writes where the checks do.",
            )
        return {"answer": outcome.answer, "arrays": outcome.arrays}
    if outcome.status == "starved":
        raise NotMadeError(outcome.reason, "Grade again when the machine has less to do.")
    told = MARKED.sub("", outcome.stderr)
    printed = (told.strip() or outcome.stdout.strip())[-SHOWN_CHARACTERS:]
    raise EndedError(
        _last_cell(outcome.stderr),
        owner,
        outcome.reason + (f"\n\nThe end of its output:\n{printed}" if printed else ""),
        "Restart the kernel, run all cells, and see which one does that."
        if owner == "notebook_runs"
        else "Export the model again with cifar_lab.submit.",
    )


def _has_outline(value: Any, outline: Any) -> bool:
    if isinstance(outline, Mapping):
        return isinstance(value, Mapping) and all(
            _has_outline(value.get(name), kind) for name, kind in outline.items()
        )
    if isinstance(outline, list):
        return (
            isinstance(value, list)
            and len(value) <= MOST_ITEMS
            and all(_has_outline(one, outline[0]) for one in value)
        )
    if outline is int and isinstance(value, bool):
        return False
    return isinstance(value, outline) and _is_of_reasonable_size(value)


def _is_of_reasonable_size(value: Any) -> bool:
    if isinstance(value, int):
        return 0 <= value <= MOST
    if isinstance(value, list | dict):
        return len(value) <= MOST_ITEMS
    return not isinstance(value, str) or len(value) <= MOST_TEXT


def is_run_answer(answer: Any) -> bool:
    """Return whether an answer has all that the checks look into."""
    if not isinstance(answer, Mapping) or "error" not in answer:
        return False
    if not _is_watch(answer.get("watch")) or not _is_failure(answer["error"]):
        return False
    if not _is_watch(answer.get("watch_before", answer["watch"])):
        return False
    if not _has_outline(answer.get("later_errors", []), [int]):
        return False
    model: Any = answer.get("model")
    if not _has_outline(model, {"found": bool, "is_module": bool, "type": str}):
        return False
    return not model["is_module"] or (
        _has_outline(model, MODEL)
        and all(_is_shape(name, shape) for name, shape in model["shapes"].items())
    )


def _is_watch(watch: Any) -> bool:
    """Return whether it is what was seen of a run's training, with values that can be used."""
    return (
        _has_outline(watch, WATCH)
        and all(map(_is_pair, watch["seeds"]))
        and all(_has_outline(each, [str]) and len(each) == 2 for each in watch["loaded"])
        and all(_has_outline(text, str) for file in watch["saved"].items() for text in file)
    )


def _is_failure(error: Any) -> bool:
    """Return whether it describes the cell that failed; None where none did."""
    if error is None or not isinstance(error, Mapping):
        return error is None
    more = {name: ERROR_MAY_HAVE[name] for name in ERROR_MAY_HAVE.keys() & error.keys()}
    return _has_outline(error, ERROR | more)


def _is_shape(name: Any, shape: Any) -> bool:
    return _has_outline(name, str) and _has_outline(shape, [int])


def _is_pair(one: Any) -> bool:
    """Return whether it is a name with a value: a library's seed."""
    return (
        isinstance(one, list)
        and len(one) == 2
        and _has_outline(one[0], str)
        and (_has_outline(one[1], str) or (isinstance(one[1], int) and abs(one[1]) <= MOST))
    )


# Kinds of the answers to looks at a model, which the student's own process may have given.
LOOK_VALUES: dict[str, Any] = {
    "size": {"parameters": int, "statistics": int, "constants": int},
    "finite": bool,
    "shapes": [{"images": int}],
    "alone": float,
    "twice": {"difference": float, "changed": [str]},
    "gradients": [str],
    "overfit": float,
    "like": str,
}
STORED_WEIGHTS = {"file": str, "numbers": int, "sha256": str, "shipped": str}
COMPARED_WEIGHTS: dict[str, Any] = {
    "file": str,
    "missing": [str],
    "unknown": [str],
    "other_shape": [str],
    "other_values": [str],
}


def is_look_answer(looks: Any) -> bool:
    """Return whether all looks at a model have values of the kinds that the checks look into."""
    if not isinstance(looks, Mapping):
        return False
    for name, kind in LOOK_VALUES.items():
        if not _has_outline(looks.get(name), {"error": str}) and not _has_outline(
            looks.get(name), {"value": kind}
        ):
            return False
    shapes = looks["shapes"].get("value", ())
    return all(map(_is_look_at_shape, shapes)) and _is_comparison(looks.get("weights"))


def _is_look_at_shape(one: Mapping[str, Any]) -> bool:
    if "error" in one:
        return _has_outline(one, {"error": str})
    return _has_outline(one, {"shape": [int], "finite": bool})


def _is_comparison(weights: Any) -> bool:
    """Return whether it compares weights with the model's, or says why not; None without any."""
    if weights is None or _has_outline(weights, {"error": str}):
        return True
    return _has_outline(weights, {"value": {"load_error": str}}) or (
        _has_outline(weights, {"value": COMPARED_WEIGHTS}) and _is_known(weights["value"])
    )


def _is_known(compared: Mapping[str, Any]) -> bool:
    """Return whether the weights' digest, and whose they resemble, are such where given."""
    digest = compared.get("sha256", "")
    return (
        isinstance(digest, str)
        and (not digest or DIGEST.fullmatch(digest) is not None)
        and _has_outline(compared.get("shipped", ""), str)
    )


def is_examination(answer: Any) -> bool:
    """Return whether it answers `examine_model`: with all looks, or why it can't be loaded."""
    return (
        _has_outline(answer, {"load_error": str})
        or _has_outline(answer, {"stored": STORED_WEIGHTS})
        or is_look_answer(answer)
    )


@lru_cache
def load_test_images(dataset: str, root: Path) -> ImageSet:
    """Load the test images, once per process; never download them in the middle of grading.

    Raises:
        DatasetUnavailableError: The files are not in the folder.
    """
    return _load(dataset, root)[0]


@lru_cache
def _load(dataset: str, root: Path) -> tuple[ImageSet, ImageSet]:
    """Load the test images, and a sample of the training images."""
    if DATASETS[dataset].archive is not None:
        folder = spec_for(dataset).folder
        if not (root / folder).is_dir():
            raise DatasetUnavailableError(f"There is no {folder} in {root}.")
    data = load(dataset, root)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    some = data.train.subset(order[:TRAINING_SAMPLE])
    return data.test, some


def test_images(settings: Settings) -> ImageSet:
    """Return the test images that reported accuracies are of.

    Raises:
        NotMadeError: This machine does not have them.
    """
    return _from_disk(settings, load_test_images)


test_images.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test by itself


def sample_of_training(settings: Settings) -> ImageSet:
    """Return some training images, on which no honest network is much worse than on test images.

    Raises:
        NotMadeError: This machine does not have them.
    """
    return _from_disk(settings, lambda dataset, root: _load(dataset, root)[1])


def _from_disk(settings: Settings, get: Callable[[str, Path], ImageSet]) -> ImageSet:
    dataset, root = settings.dataset, settings.data_folder or default_root()
    try:
        return get(dataset, root)
    except (DatasetUnavailableError, CorruptedDataError) as error:
        raise NotMadeError(
            f"{dataset}'s files are not on this machine, so the accuracy could not be "
            f"measured: {str(error).splitlines()[0]} Name their folder in --data or "
            "$CIFAR_LAB_DATA."
        ) from error
