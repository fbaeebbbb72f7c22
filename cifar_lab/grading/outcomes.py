"""What a child's end means for a submission, and the test images, which stay with the parent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from cifar_lab.data import ImageSet, default_root, load
from cifar_lab.errors import CorruptedDataError, DatasetUnavailableError
from cifar_lab.grading.sandbox import Outcome
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
SHOWN_CHARACTERS = 600
# What a notebook may need beside the course's own packages, and a grading machine may lack.
PACKAGES = re.compile(
    "albumentations|captum|cv2|einops|fastai|ignite|keras|lightning|mlflow|optuna|pandas|plotly|"
    "pytorch_lightning|ray|scipy|seaborn|skimage|sklearn|tensorboard|tensorflow|timm|torchinfo|"
    "torchmetrics|torchsummary|torchviz|transformers|umap|wandb|xgboost"
)
# What running a notebook is answered with, in outline: a forged answer is not looked into.
RUN_ANSWER: dict[str, Any] = {
    "error": (dict, type(None)),
    "watch": {
        "optimizers": list,
        "test_batches": dict,
        "losses": int,
        "losses_of_shares": int,
        "seeds": list,
        "cudnn_deterministic": bool,
        "cudnn_benchmark": bool,
        "saved_after_training": bool,
        "loaded_after_saving": bool,
        "tested_after_loading": bool,
    },
}


def answer_of(outcome: Outcome, owner: str, outline: Mapping[str, Any] = {}) -> dict[str, Any]:
    """The answer and its arrays.

    Args:
        outcome: of the child.
        owner: the check that fails where there is no answer.
        outline: what the answer must have: names, and the types of their values.

    Raises:
        SubmissionError: the child did not come to its end, or answered something else.
    """
    if outcome.status == "ok" and outcome.answer is not None:
        if not _has_outline(outcome.answer, outline):
            raise SubmissionError(
                owner,
                "The process in which the notebook ran gave an answer of its own making.",
                "Take out what ends the process, or writes where the checks do.",
            )
        return {"answer": outcome.answer, "arrays": outcome.arrays}
    printed = (outcome.stderr.strip() or outcome.stdout.strip())[-SHOWN_CHARACTERS:]
    raise SubmissionError(
        owner,
        outcome.reason + (f"\n\nThe end of its output:\n{printed}" if printed else ""),
        "Restart the kernel, run all cells, and see which one does that."
        if owner == "notebook_runs"
        else "Export the model again with cifar_lab.submit.",
    )


def _has_outline(answer: Mapping[str, Any], outline: Mapping[str, Any]) -> bool:
    for name, kind in outline.items():
        value = answer.get(name)
        if isinstance(kind, Mapping):
            if not isinstance(value, Mapping) or not _has_outline(value, kind):
                return False
        elif not isinstance(value, kind) or (name not in answer):
            return False
    return True


@lru_cache
def load_test_images(dataset: str, root: Path) -> ImageSet:
    """Loaded once a process; never downloaded in the middle of grading.

    Raises:
        DatasetUnavailableError: the files are not in the folder.
    """
    if dataset in CIFAR_FOLDERS and not (root / CIFAR_FOLDERS[dataset]).is_dir():
        raise DatasetUnavailableError(f"There is no {CIFAR_FOLDERS[dataset]} in {root}.")
    return load(dataset, root).test


def test_images(settings: Settings) -> ImageSet:
    """The test images that reported accuracies are of.

    Raises:
        NotMadeError: this machine does not have them.
    """
    dataset, root = settings.dataset, settings.data_folder or default_root()
    try:
        return load_test_images(dataset, root)
    except (DatasetUnavailableError, CorruptedDataError) as error:
        raise NotMadeError(
            f"{dataset}'s files are not on this machine, so the accuracy could not be "
            f"measured: {str(error).splitlines()[0]} Name their folder in --data or "
            "$CIFAR_LAB_DATA."
        ) from error


test_images.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test by itself
