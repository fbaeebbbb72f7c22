"""What a run found: a `Result`, saved as JSON beside the run's weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from cifar_lab.models import build_model
from cifar_lab.training.checkpoint import load_weights
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.state import EpochRecord
from cifar_lab.utils.files import read_text, user_path, write_text
from cifar_lab.utils.plain import to_json

# What a run leaves in its folder.
RESULT, WEIGHTS, CHECKPOINT = "result.json", "weights.pt", "checkpoint.pt"


@dataclass(frozen=True, eq=False)
class Result:
    """One run of one experiment.

    Attributes:
        experiment: the experiment's name.
        title: what a table calls it.
        dataset: the dataset trained and tested on: "cifar10", "cifar100" or "synthetic".
        model_name: the model's name in the registry; None for a model of the user's own.
        num_classes: logits that the model gives.
        recipe: how it was trained.
        seed: of the initial weights, the order of the images and dropout.
        parameters: numbers in the model's parameters.
        macs: multiply-accumulate operations for one image.
        history: one record an epoch.
        test_accuracy: percent, on the whole test set, of the weights that training left.
        test_uses: how many times the run evaluated on the test images.
        seconds: wall time of training, the evaluations after each epoch not included.
        training_flops: floating-point operations of all forward and backward passes of the
            training, in matrix products; 0 in results of before they were counted.
        precision: that "auto" came to: "fp32", "bf16" or "fp16".
        peak_memory_mib: of the process so far (CPU) or of the device's allocations (CUDA).
        environment: versions, device and threads.
        architecture: differs for another model under the same name; "" in results of before there
            was such a mark.
        images: differs for other training images or labels; "" likewise.
        model: the trained model, in eval mode; None where it has not been loaded.
        folder: where the result and the weights are saved, if anywhere.
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
        """How many of `training_flops` were done by the end of each epoch."""
        share = self.training_flops / len(self.history)
        return [share * record.epoch for record in self.history]

    def is_of(self, dataset: str, recipe: Recipe, architecture: str | None = None) -> bool:
        """Whether it is of that dataset and recipe, and of that architecture where one is given.

        A result of before there was such a mark can be of any architecture.
        """
        return (self.dataset, self.recipe) == (dataset, recipe) and (
            architecture is None or self.architecture in ("", architecture)
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
    """A saved result; `with_model` also builds its model and loads the weights.

    Raises:
        FileNotFoundError: there is no result in the folder.
        ValueError: the file is damaged or of another version of this package, or the model is the
            user's own, which can't be built by name.
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
    """The saved results of each experiment, one a seed (the newest), in the order of the seeds.

    Args:
        out: the folder with the results.
        experiments: the experiments' names, each with the dataset and the recipe that are wanted.
        architectures: the digest of each experiment's model; results of another are left out.
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
    """Of `wanted`, `wanted-2`, ... those that hold a checkpoint or a result, the newest first."""
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
        OSError: the folder can't be made; the message says which and what to do.
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
