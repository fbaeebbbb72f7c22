"""Every experiment of the coursework by name: a dataset, a model and a recipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cifar_lab.checkpoint import save_weights
from cifar_lab.data import Data, load
from cifar_lab.errors import unknown_name
from cifar_lab.evaluation import test_accuracy
from cifar_lab.models import build_model
from cifar_lab.models.size import count_macs, count_parameters
from cifar_lab.recipe import Recipe, resolve_precision
from cifar_lab.reproducibility import as_device, seed_everything
from cifar_lab.results import Result, describe_environment, new_folder, peak_memory_mib
from cifar_lab.state import EpochRecord
from cifar_lab.training import fit


@dataclass(frozen=True)
class Experiment:
    """A dataset, a model and a recipe under a name: one row of the coursework, or your own.

    Attributes:
        name: of the folder with its results.
        dataset: "cifar10", "cifar100" or "synthetic".
        model: a name in `cifar_lab.models.MODELS`, or whatever builds a model without arguments,
            such as a class of your own.
        recipe: how to train it.
        title: what tables and plots call it.
        reference: test accuracy in percent that the course reported after the last epoch.
    """

    name: str
    dataset: str
    model: str | Callable[[], nn.Module]
    recipe: Recipe
    title: str
    reference: float | None = None


# Assignment A asks for more accuracy from the same training: three epochs of this, for every model.
ASSIGNMENT_A_RECIPE = Recipe(epochs=3, batch_size=64, optimizer="adam", learning_rate=1e-3)


def _assignment_a(model: str, title: str, reference: float) -> Experiment:
    return Experiment(f"cifar10-{model}", "cifar10", model, ASSIGNMENT_A_RECIPE, title, reference)


_ROWS = [
    _assignment_a("mlp", "SimpleMLP", 42.35),
    _assignment_a("skeleton", "ConvNet, skeleton", 61.75),
    _assignment_a("convnet", "ConvNet, plain", 66.47),
    _assignment_a("resnet-small", "Bottleneck ResNet, small", 66.62),
    _assignment_a("resnet-wide", "Bottleneck ResNet, wide", 73.01),
]
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ROWS}
GROUPS: dict[str, tuple[str, ...]] = {"assignment-a": tuple(EXPERIMENTS)}


def find_experiments(names: Iterable[str]) -> list[str]:
    """Names of experiments and of groups of them -> the experiments' names.

    Raises:
        ValueError: a name is neither; the message offers the nearest.
    """
    found: list[str] = []
    for name in names:
        if name not in EXPERIMENTS and name not in GROUPS:
            raise unknown_name("experiment", name, [*EXPERIMENTS, *GROUPS])
        found.extend(GROUPS.get(name, (name,)))
    return found


def run(
    experiment: str | Experiment,
    *,
    seed: int = 0,
    data: Data | None = None,
    recipe: Recipe | None = None,
    out: str | Path | None = "runs",
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Result:
    """Train an experiment's model and measure it on the test set.

    As assignment A asks, the test accuracy is watched after every epoch; it decides nothing.

    Args:
        experiment: its name, such as "cifar10-mlp", or an `Experiment` of your own.
        seed: of the initial weights, the order of the images and dropout.
        data: images already in memory, also of another dataset (the result says which); None
            loads the experiment's own.
        recipe: another recipe than the experiment's.
        out: a folder for results; this one goes to a new folder `NAME/seed-SEED` in it (with a
            number behind it where that is taken). The weights are saved after every epoch, so a
            run that breaks off leaves the last whole epoch's. None saves nothing.
        device: None for the best there is.
        progress: print what goes on.

    Returns:
        The result, with the trained model in eval mode as `result.model`.

    Raises:
        ValueError: an unknown experiment, or a device or seed that can't be used.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    if isinstance(experiment, str):
        if experiment not in EXPERIMENTS:
            raise unknown_name("experiment", experiment, EXPERIMENTS)
        experiment = EXPERIMENTS[experiment]
    name = experiment.name
    recipe = recipe or experiment.recipe
    device = as_device(device)
    data = data or load(experiment.dataset)
    seed_everything(seed)
    if isinstance(experiment.model, str):
        model = build_model(experiment.model, num_classes=data.train.num_classes)
    else:
        model = experiment.model()
    parameters, macs = count_parameters(model), count_macs(model)
    if progress:
        print(f"{name} (seed {seed}) on {data.name}: {parameters:,} parameters, {macs:,} MACs")
    folder = None if out is None else new_folder(Path(out) / name / f"seed-{seed}")

    def save_epoch(record: EpochRecord) -> None:
        if folder is not None:
            save_weights(model, folder / "weights.pt")

    start = time.perf_counter()
    try:
        history = fit(
            model,
            data.train.to(device),
            recipe,
            test=data.test.to(device),
            seed=seed,
            device=device,
            on_epoch=save_epoch,
            progress=progress,
        )
    except BaseException:
        if folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        raise
    seconds = time.perf_counter() - start
    result = Result(
        experiment=name,
        title=experiment.title,
        dataset=data.name,
        model_name=experiment.model if isinstance(experiment.model, str) else None,
        num_classes=data.train.num_classes,
        recipe=recipe,
        seed=seed,
        parameters=parameters,
        macs=macs,
        history=history,
        test_accuracy=test_accuracy(model, data.test.to(device)),
        seconds=seconds,
        precision=resolve_precision(recipe.precision, device),
        peak_memory_mib=peak_memory_mib(device),
        environment=describe_environment(device),
        model=model.eval(),
        folder=folder,
    )
    if folder is not None:
        save_weights(model, folder / "weights.pt")
        result.save(folder / "result.json")
        if progress:
            print(f"Saved result.json and weights.pt in {folder}")
    return result
