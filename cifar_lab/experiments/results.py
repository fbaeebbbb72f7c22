"""Results of runs, saved as JSON next to the runs' weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from cifar_lab.models import build_model
from cifar_lab.models.former import present_digest
from cifar_lab.training.checkpoint import load_weights
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord
from cifar_lab.utils.files import read_text, user_path, write_text
from cifar_lab.utils.plain import to_json

# The files that a run leaves in its folder.
RESULT, WEIGHTS, CHECKPOINT = "result.json", "weights.pt", "checkpoint.pt"


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one run of one experiment.

    Attributes:
        experiment: The experiment's name.
        title: Names it in tables and plots.
        dataset: The dataset trained and tested on: "cifar10", "cifar100" or "synthetic".
        model_name: The model's name in the registry; None for a custom model.
        num_classes: Number of logits that the model returns.
        recipe: How it was trained.
        seed: Seeds the initial weights, the split, shuffling, augmentation and dropout.
        parameters: Number of parameters of the model.
        macs: Multiply-accumulate operations for one image.
        history: One record per epoch.
        test_accuracy: Accuracy in percent on the whole test set, with the final weights.
        test_uses: How many times the run evaluated on the test images.
        seconds: Wall time of training, without the evaluations after each epoch.
        precision: Precision that "auto" resolved to: "fp32", "bf16" or "fp16".
        peak_memory_mib: Peak memory of the process so far (CPU) or of the device's allocations
            (CUDA); None where it is unknown.
        environment: Versions, device and threads.
        architecture: Digest of the model's layers; "" in results saved before there was one.
        images: Digest of the training images and labels; "" in results saved before there was one.
        training_flops: Floating-point operations of all forward and backward passes of the
            training, in matrix products; 0 in results saved before they were counted.
        model: The trained model, in eval mode; None where it has not been loaded.
        folder: Folder of the result and the weights; None where nothing was saved.
    """

    experiment: str
    title: str
    dataset: str
    model_name: str | None
    num_classes: int
    recipe: Recipe
    seed: int
    parameters: int
    macs: int
    history: list[EpochRecord]
    test_accuracy: float
    test_uses: int
    seconds: float
    precision: str
    peak_memory_mib: int | None
    environment: dict[str, Any]
    architecture: str = ""
    images: str = ""
    training_flops: float = 0.0
    model: nn.Module | None = field(default=None, repr=False)
    folder: Path | None = None

    @property
    def flops_by_epoch(self) -> list[float]:
        """The part of `training_flops` that was done by the end of each epoch."""
        share = self.training_flops / len(self.history)
        return [share * record.epoch for record in self.history]

    def is_of(self, dataset: str, recipe: Recipe, architecture: str | None = None) -> bool:
        """Return whether the run had this dataset and recipe, and this architecture where given.

        A result that was saved without an architecture can be of any.
        """
        return (self.dataset, self.recipe) == (dataset, recipe) and (
            architecture is None or present_digest(self.architecture) in ("", architecture)
        )

    def save(self, path: str | Path) -> None:
        """Write everything but the model as JSON, atomically."""
        content = {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("model", "folder", "recipe", "history")
        }
        content["recipe"] = self.recipe.to_dict()
        content["history"] = [asdict(record) for record in self.history]
        write_text(path, to_json(content))


def load_result(folder: str | Path, *, with_model: bool = False) -> Result:
    """Load a saved result.

    Args:
        folder: Folder of the run.
        with_model: Whether to build its model too, with the trained weights.

    Returns:
        The result; with a model, it is in eval mode.

    Raises:
        FileNotFoundError: There is no result in the folder.
        ValueError: The file is damaged or of another version of this package, or the model is a
            custom one, which can't be built by name.
    """
    folder = user_path(folder)
    path = folder / RESULT
    if not path.is_file():
        raise FileNotFoundError(f"No result at {path}. Run the experiment, or correct the folder.")
    try:
        content = json.loads(read_text(path))
        content["recipe"] = Recipe.from_dict(content["recipe"])
        content["history"] = [EpochRecord(**record) for record in content["history"]]
        result = Result(**content, folder=folder)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or was written by another version ({error}). "
            "Move it away and run the experiment again."
        ) from error
    if not with_model:
        return result
    if result.model_name is None:
        raise ValueError(
            f"{path} is of a model that is not in the registry. Build it yourself and call "
            "cifar_lab.load_weights(model, folder / 'weights.pt')."
        )
    model = build_model(result.model_name, result.num_classes)
    load_weights(model, path.with_name(WEIGHTS))
    return replace(result, model=model.eval())


def find_results(
    out: str | Path,
    experiments: Mapping[str, tuple[str, Recipe]],
    architectures: Mapping[str, str] | None = None,
) -> dict[str, list[Result]]:
    """Find each experiment's saved results: the newest of each seed, in the order of the seeds.

    Args:
        out: Folder with the results.
        experiments: Dataset and recipe that are wanted of each experiment, by its name.
        architectures: Digest of each experiment's model; results of another are left out.
    """
    found: dict[str, list[Result]] = {}
    for name, wanted in experiments.items():
        paths = sorted(
            (user_path(out) / name).glob(f"*/{RESULT}"), key=lambda path: path.stat().st_mtime
        )
        results = [load_result(path.parent) for path in paths]
        architecture = None if architectures is None else architectures.get(name, "")
        by_seed = {run.seed: run for run in results if run.is_of(*wanted, architecture)}
        if by_seed:
            found[name] = [by_seed[seed] for seed in sorted(by_seed)]
    return found


def run_folders(wanted: Path) -> list[Path]:
    """Return which of `wanted`, `wanted-2`, ... hold a checkpoint or result, the newest first."""
    wanted = user_path(wanted)
    newest: dict[Path, float] = {}
    for folder in (wanted.name, f"{wanted.name}-*"):
        for name in (CHECKPOINT, RESULT):
            for path in wanted.parent.glob(f"{folder}/{name}"):
                newest[path.parent] = max(newest.get(path.parent, 0.0), path.stat().st_mtime)
    return sorted(newest, key=lambda folder: newest[folder], reverse=True)


def new_folder(wanted: Path) -> Path:
    """Make `wanted`, or `wanted-2`, `wanted-3`, ... where that is taken: nothing is overwritten.

    Raises:
        OSError: The folder can't be made; the message says which and what to do.
    """
    wanted = user_path(wanted)
    number, folder = 1, wanted
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                number += 1
                folder = wanted.with_name(f"{wanted.name}-{number}")
    except OSError as error:
        raise OSError(
            f"Can't make the folder {folder} for results: {error.strerror}. "
            "Give a folder that can be written, with out=... or --out."
        ) from error
