"""Every experiment of the coursework by name: a dataset, a model and a recipe."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from cifar_lab.augment import ColorJitter, RandomCrop, RandomErasing, RandomHorizontalFlip
from cifar_lab.checkpoint import save_weights, write_atomically
from cifar_lab.data import Data, load, split
from cifar_lab.errors import unknown_name
from cifar_lab.evaluation import test_accuracy
from cifar_lab.models import build_model
from cifar_lab.models.separable import CIFAR100_MEAN
from cifar_lab.models.size import count_macs, count_parameters
from cifar_lab.recipe import Recipe, resolve_precision
from cifar_lab.reproducibility import as_device, seed_everything
from cifar_lab.results import (
    CHECKPOINT,
    RESULT,
    WEIGHTS,
    Result,
    describe_environment,
    new_folder,
    peak_memory_mib,
    unfinished_folder,
)
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
        validation_fraction: share of the training images held out to watch and select by. With 0
            the test accuracy is watched after every epoch, as in assignment A: it selects nothing.
    """

    name: str
    dataset: str
    model: str | Callable[[], nn.Module]
    recipe: Recipe
    title: str
    reference: float | None = None
    validation_fraction: float = 0.0


# Assignment A asks for more accuracy from the same training: three epochs of this, for every model.
ASSIGNMENT_A_RECIPE = Recipe(epochs=3, batch_size=64, optimizer="adam", learning_rate=1e-3)


def _assignment_a(model: str, title: str, reference: float) -> Experiment:
    return Experiment(f"cifar10-{model}", "cifar10", model, ASSIGNMENT_A_RECIPE, title, reference)


# Assignment B's starting point: SGD at its default learning rate, without momentum.
TINYNET_RECIPE = Recipe(epochs=10, batch_size=32, optimizer="sgd", learning_rate=1e-3)

# Assignment B's answer. Images are in [0, 1] here, so the mean colour is what erasing with zero
# after normalisation comes to.
SMALLCIFARNET_RECIPE = Recipe(
    epochs=50,
    batch_size=128,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=5e-4,
    schedule="cosine",
    schedule_per="epoch",
    warmup_epochs=5,
    label_smoothing=0.1,
    gradient_clip=1.0,
    ema_decay=0.995,
    keep_best=True,
    patience=10,
    augment=(
        RandomCrop(padding=4),
        RandomHorizontalFlip(),
        ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
        RandomErasing(p=0.25, value=CIFAR100_MEAN),
    ),
)

_ROWS = [
    _assignment_a("mlp", "SimpleMLP", 42.35),
    _assignment_a("skeleton", "ConvNet, skeleton", 61.75),
    _assignment_a("convnet", "ConvNet, plain", 66.47),
    _assignment_a("resnet-small", "Bottleneck ResNet, small", 66.62),
    _assignment_a("resnet-wide", "Bottleneck ResNet, wide", 73.01),
    Experiment("cifar100-tinynet", "cifar100", "tinynet", TINYNET_RECIPE, "TinyNet", 3.37),
    Experiment(
        "cifar100-smallcifarnet",
        "cifar100",
        "smallcifarnet",
        SMALLCIFARNET_RECIPE,
        "SmallCIFARNet",
        52.95,
        validation_fraction=0.1,
    ),
]
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ROWS}
GROUPS: dict[str, tuple[str, ...]] = {
    "assignment-a": tuple(name for name in EXPERIMENTS if name.startswith("cifar10-")),
    "assignment-b": tuple(name for name in EXPERIMENTS if name.startswith("cifar100-")),
}


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
    resume: bool = False,
    backup: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Result:
    """Train an experiment's model and measure it on the test set.

    Args:
        experiment: its name, such as "cifar10-mlp", or an `Experiment` of your own.
        seed: of the initial weights, the split, the order of the images, augmentation and dropout.
        data: images already in memory, also of another dataset (the result says which); None
            loads the experiment's own.
        recipe: another recipe than the experiment's.
        out: a folder for results; this one goes to a new folder `NAME/seed-SEED` in it (with a
            number behind it where that is taken). A checkpoint is saved there after every epoch.
            None saves nothing.
        resume: go on with the run whose checkpoint was saved last; where there is none, start.
        backup: a folder (on Google Drive, say) that gets a copy of every checkpoint, and from
            which `resume` takes it where `out` has none.
        device: None for the best there is.
        progress: print what goes on.

    Returns:
        The result, with the trained model in eval mode as `result.model`.

    Raises:
        ValueError: an unknown experiment, a device or seed that can't be used, or a checkpoint
            that is damaged or of another run.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    if isinstance(experiment, str):
        if experiment not in EXPERIMENTS:
            raise unknown_name("experiment", experiment, EXPERIMENTS)
        experiment = EXPERIMENTS[experiment]
    if out is None and (resume or backup):
        raise ValueError("resume and backup need a folder for checkpoints; give out=...")
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
        print(
            f"{experiment.name} (seed {seed}) on {data.name}: {parameters:,} parameters, "
            f"{macs:,} MACs"
        )
    train, validation = data.train.to(device), None
    if experiment.validation_fraction:
        train, validation = split(train, experiment.validation_fraction, seed=seed)
    test = data.test.to(device)
    folder, copy = None, None
    if out is not None:
        place = Path(experiment.name, f"seed-{seed}")
        copy = None if backup is None else Path(backup, place, CHECKPOINT)
        folder = _folder(Path(out, place), copy, resume)

    def copy_checkpoint(record: EpochRecord) -> None:
        if folder is not None and copy is not None:
            _copy(folder / CHECKPOINT, copy)

    try:
        history = fit(
            model,
            train,
            recipe,
            validation=validation,
            test=test if validation is None else None,
            seed=seed,
            device=device,
            checkpoint=None if folder is None else folder / CHECKPOINT,
            resume=resume,
            on_epoch=copy_checkpoint,
            progress=progress,
        )
    except BaseException:
        if folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        raise
    result = Result(
        experiment=experiment.name,
        title=experiment.title,
        dataset=data.name,
        model_name=experiment.model if isinstance(experiment.model, str) else None,
        num_classes=data.train.num_classes,
        recipe=recipe,
        seed=seed,
        parameters=parameters,
        macs=macs,
        history=history,
        test_accuracy=test_accuracy(model, test),
        test_uses=test.uses.count,
        seconds=sum(record.seconds for record in history),
        precision=resolve_precision(recipe.precision, device),
        peak_memory_mib=peak_memory_mib(device),
        environment=describe_environment(device),
        model=model.eval(),
        folder=folder,
    )
    if folder is not None:
        save_weights(model, folder / WEIGHTS)
        result.save(folder / RESULT)
        if progress:
            print(f"Saved {RESULT} and {WEIGHTS} in {folder}")
    return result


def _folder(wanted: Path, copy: Path | None, resume: bool) -> Path:
    """The folder to go on in, or a new one, with the checkpoint's copy if there is one."""
    if resume:
        unfinished = unfinished_folder(wanted)
        if unfinished is not None:
            return unfinished
    folder = new_folder(wanted)
    if resume and copy is not None and copy.exists():
        _copy(copy, folder / CHECKPOINT)
    return folder


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as content:
        write_atomically(target, lambda file: shutil.copyfileobj(content, file))
