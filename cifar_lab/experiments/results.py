"""Results of runs, saved as JSON next to the runs' weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from cifar_lab.experiments.folders import RESULT, WEIGHTS
from cifar_lab.experiments.not_loaded import NotLoaded
from cifar_lab.models import build_model
from cifar_lab.models.former import present_digest
from cifar_lab.training.checkpoint import load_weights
from cifar_lab.training.history import EpochRecord, History
from cifar_lab.training.recipe import Recipe
from cifar_lab.utils.files import read_text, user_path, write_text
from cifar_lab.utils.frames import data_frame
from cifar_lab.utils.plain import to_json
from cifar_lab.utils.wording import counted


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
        history: One record per epoch; a list of them becomes a `History`.
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
        views: Test accuracies in percent with several views of each image ("mirror", "six"), by
            their name; empty where the experiment has none.
        model: The trained model, in eval mode. In a result that was loaded without it, any use of
            it is an error that says how to load it.
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
    history: History
    test_accuracy: float
    test_uses: int
    seconds: float
    precision: str
    peak_memory_mib: int | None
    environment: dict[str, Any]
    architecture: str = ""
    images: str = ""
    training_flops: float = 0.0
    views: dict[str, float] = field(default_factory=dict)
    model: nn.Module | None = field(default=None, repr=False)
    folder: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "history", History(self.history))

    def __repr__(self) -> str:
        place = "not saved" if self.folder is None else f"saved in {self.folder}"
        return (
            f"Result({self.experiment}, seed {self.seed}, on {self.dataset}: test accuracy "
            f"{self.test_accuracy:.2f} % after {counted(len(self.history), 'epoch')}, "
            f"{self.parameters:,} parameters, {place})"
        )

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

    def to_frame(self) -> Any:
        """Return a pandas DataFrame of one row; that of the epochs is `history.to_frame()`.

        Raises:
            ImportError: pandas is not installed.
        """
        return to_frame([self])

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


def accuracy_text(test_accuracy: float, views: Mapping[str, float]) -> str:
    """Return a test accuracy in words, with those of several views."""
    others = [f"{accuracy:.2f} % with views={name!r}" for name, accuracy in views.items()]
    return ", ".join([f"{test_accuracy:.2f} %", *others])


def common_views(runs: Iterable[Result]) -> list[str]:
    """Return the names of the views that every one of some runs was measured with."""
    named = [run.views for run in runs]
    return [name for name in named[0] if all(name in views for views in named)]


Results = Result | Iterable[Result] | Mapping[str, Result | Iterable[Result]]


def to_frame(results: Results) -> Any:
    """Return a pandas DataFrame with one row per result.

    Args:
        results: Results; or results, or lists of them, by a name, which becomes the row's label.

    Raises:
        ImportError: pandas is not installed.
        TypeError: There is something else among them.
    """
    named = results if isinstance(results, Mapping) else {"": results}
    rows, labels = [], []
    for name, group in named.items():
        for result in [group] if isinstance(group, Result) else group:
            if not isinstance(result, Result):
                raise TypeError(
                    f"There is a {type(result).__name__} among the results; expected what "
                    "cifar_lab.run returned, or find_results(folder)."
                )
            rows.append(_row(result))
            labels.append(name)
    return data_frame(rows, labels if isinstance(results, Mapping) else None)


def _row(result: Result) -> dict[str, Any]:
    """Return a result's figures, without the recipe, the epochs and the model."""
    last = result.history[-1] if result.history else None
    return {
        "experiment": result.experiment,
        "title": result.title,
        "dataset": result.dataset,
        "seed": result.seed,
        "epochs": len(result.history),
        "parameters": result.parameters,
        "macs": result.macs,
        "training_flops": result.training_flops,
        "train_loss": None if last is None else last.train_loss,
        "validation_accuracy": None if last is None else last.validation_accuracy,
        "test_accuracy": result.test_accuracy,
        **{f"test_accuracy_{name}_views": accuracy for name, accuracy in result.views.items()},
        "seconds": result.seconds,
        "folder": None if result.folder is None else str(result.folder),
    }


def load_result(
    folder: str | Path, *, with_model: bool = False, model: nn.Module | None = None
) -> Result:
    """Load a saved result.

    Args:
        folder: Folder of the run.
        with_model: Whether to load its model too, with the trained weights.
        model: A new network of the class that was trained, which gets the weights; needed for a
            custom network only, as those of the library are built by their names.

    Returns:
        The result; with a model, it is in eval mode.

    Raises:
        FileNotFoundError: There is no result in the folder.
        ValueError: The file is damaged or of another version of this package, or the model is a
            custom one, which can't be built by name.
        TypeError: The model is a class, not a network.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="adam", learning_rate=1e-3)
        >>> data = lab.load("synthetic")
        >>> _ = lab.run("cifar10-mlp", data=data, recipe=recipe, out="runs", progress=False)
        >>> result = lab.load_result("runs/cifar10-mlp/seed-0", with_model=True)
        >>> result.parameters, result.model.training
        (308310, False)
    """
    folder = user_path(folder)
    path = folder / RESULT
    if not path.is_file():
        raise FileNotFoundError(f"No result at {path}. Run the experiment, or correct the folder.")
    try:
        content = json.loads(read_text(path))
        content["recipe"] = Recipe.from_dict(content["recipe"])
        content["history"] = History(EpochRecord(**record) for record in content["history"])
        result = Result(**content, folder=folder)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or was written by another version ({error}). "
            "Move it away and run the experiment again."
        ) from error
    if with_model or model is not None:
        return replace(result, model=_with_weights(result, model))
    network = ", model=MyNet()" if result.model_name is None else ""
    missing: Any = NotLoaded(f"load_result({str(folder)!r}, with_model=True{network})")
    return replace(result, model=missing)


def _with_weights(result: Result, model: nn.Module | None) -> nn.Module:
    """Return the result's model, built by name where it is not given, with the saved weights."""
    assert result.folder is not None
    if model is None and result.model_name is None:
        raise ValueError(
            f"{result.folder / RESULT} is of a custom network, which can't be built by name. Give "
            f"a new one: load_result({str(result.folder)!r}, with_model=True, model=MyNet())."
        )
    if isinstance(model, type):
        raise TypeError(
            f"model is the class {model.__name__}; expected a network: model={model.__name__}()."
        )
    if model is None:
        model = build_model(str(result.model_name), result.num_classes)
    load_weights(model, result.folder / WEIGHTS)
    return model.eval()


def find_results(
    out: str | Path,
    experiments: Mapping[str, tuple[str, Recipe]] | None = None,
    architectures: Mapping[str, str] | None = None,
) -> dict[str, list[Result]]:
    """Find saved results by experiment, in the order of the seeds.

    Args:
        out: Folder with the results.
        experiments: Dataset and recipe that are wanted of each experiment, by its name: of these,
            the newest result of each seed is found. None for every result below the folder.
        architectures: Digest of each experiment's model; results of another are left out.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="adam", learning_rate=1e-3)
        >>> data = lab.load("synthetic")
        >>> _ = lab.run("cifar10-mlp", data=data, recipe=recipe, out="runs", progress=False)
        >>> [(name, len(results)) for name, results in lab.find_results("runs").items()]
        [('cifar10-mlp', 1)]
    """
    if experiments is None:
        return _all_results(user_path(out))
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


def _all_results(out: Path) -> dict[str, list[Result]]:
    """Return every result below a folder, by experiment; of one seed, the newest comes last."""
    paths = sorted(out.rglob(RESULT), key=lambda path: path.stat().st_mtime)
    found: dict[str, list[Result]] = {}
    for result in sorted((load_result(path.parent) for path in paths), key=lambda each: each.seed):
        found.setdefault(result.experiment, []).append(result)
    return {name: found[name] for name in sorted(found)}
