"""What a child's end means for a submission, and the test images, which stay with the parent."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from cifar_lab.data import ImageSet, load
from cifar_lab.errors import DatasetUnavailableError
from cifar_lab.grading.sandbox import Outcome
from cifar_lab.grading.verdicts import SubmissionError

CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
SHOWN_CHARACTERS = 600


def answer_of(outcome: Outcome, owner: str) -> dict[str, Any]:
    """The answer and its arrays.

    Raises:
        SubmissionError: the child did not come to its end.
    """
    if outcome.status == "ok" and outcome.answer is not None:
        return {"answer": outcome.answer, "arrays": outcome.arrays}
    printed = (outcome.stderr.strip() or outcome.stdout.strip())[-SHOWN_CHARACTERS:]
    raise SubmissionError(
        owner,
        outcome.reason + (f"\n\nThe end of its output:\n{printed}" if printed else ""),
        "Restart the kernel, run all cells, and see which one does that."
        if owner == "notebook_runs"
        else "Export the model again with cifar_lab.submit.",
    )


@lru_cache
def load_test_images(dataset: str, root: Path) -> ImageSet:
    """Loaded once a process; never downloaded in the middle of grading.

    Raises:
        DatasetUnavailableError: the files are not in the folder.
    """
    if dataset in CIFAR_FOLDERS and not (root / CIFAR_FOLDERS[dataset]).is_dir():
        raise DatasetUnavailableError(f"There is no {CIFAR_FOLDERS[dataset]} in {root}.")
    return load(dataset, root).test
