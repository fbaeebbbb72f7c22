"""Running an experiment: train, measure on the test set, save, and go on where a run broke off."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import Data, split
from cifar_lab.data.leakage import dataset_of, identity, labels_identity
from cifar_lab.evaluation import test_accuracy
from cifar_lab.experiments.catalog import Experiment, find_experiment
from cifar_lab.experiments.results import (
    CHECKPOINT,
    RESULT,
    WEIGHTS,
    Result,
    load_result,
    new_folder,
    run_folders,
)
from cifar_lab.models.counting import (
    architecture_digest,
    count_macs,
    count_parameters,
    count_training_flops,
)
from cifar_lab.training.checkpoint import is_of, load_weights, save_weights
from cifar_lab.training.loop import fit
from cifar_lab.training.recipe import Recipe, resolve_precision
from cifar_lab.utils.console import echo, say
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.environment import describe_environment, peak_memory_mib
from cifar_lab.utils.files import copy_atomically, user_path
from cifar_lab.utils.seeding import check_seed, seed_everything


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
        resume: go on with the newest run that broke off; where there is none, give the result of
            the one that was finished; where there is none either, start.
        backup: an existing folder (on Google Drive, say) that gets a copy of the checkpoint, the
            weights and the result, and from which `resume` takes them where `out` has none.
        device: None for the best there is.
        progress: print what goes on.

    Returns:
        The result, with the trained model in eval mode as `result.model`.

    Raises:
        ValueError: an unknown experiment, a device or seed that can't be used, or a checkpoint
            that is damaged or of another run.
        FileNotFoundError: the folder for backups is not there.
        TrainingDivergedError: the loss became NaN or infinite.
    """
    if isinstance(experiment, str):
        experiment = find_experiment(experiment)
    if out is None and (resume or backup):
        raise ValueError("resume and backup need a folder for checkpoints; give out=...")
    seed = check_seed(seed)
    recipe = recipe or experiment.recipe
    device = as_device(device)
    environment = describe_environment(device)
    data = data or load(experiment.dataset)
    seed_everything(seed)
    model = experiment.build_model(data.train.num_classes)
    parameters, macs = count_parameters(model), count_macs(model)
    image_flops = count_training_flops(model)
    architecture = architecture_digest(model)
    if progress:
        say(
            f"{experiment.name} (seed {seed}) on {data.name}: {parameters:,} parameters, "
            f"{macs:,} MACs"
        )
    train, validation = data.train, None
    if experiment.validation_fraction:
        train, validation = split(train, experiment.validation_fraction, seed=seed)
    images = f"{identity(train)}, {labels_identity(train)}"
    folder = None
    if out is not None:
        wanted = Wanted(data.name, recipe, seed, architecture, images)
        place = Path(experiment.name, f"seed-{seed}")
        folder = RunFolder.open(user_path(out), place, wanted, resume=resume, backup=backup)
        result = folder.result()
        if result is not None:
            load_weights(model, folder.path / WEIGHTS)
            folder.remove_if_empty()
            if progress:
                say(f"{folder.path} holds it, finished. {_test_line(result)}")
            return replace(result, model=model.to(device).eval())
    train = train.to(device)
    validation = None if validation is None else validation.to(device)
    test = data.test.to(device)
    try:
        history = fit(
            model,
            train,
            recipe,
            validation=validation,
            test=test if validation is None and experiment.watch_test else None,
            seed=seed,
            device=device,
            checkpoint=None if folder is None else folder.path / CHECKPOINT,
            resume=resume,
            on_epoch=None if folder is None else lambda record: folder.back_up(CHECKPOINT),
            progress=progress,
        )
    except BaseException:
        if folder is not None:
            folder.remove_if_empty()
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
        test_uses=1 + sum(record.test_accuracy is not None for record in history),
        seconds=sum(record.seconds for record in history),
        precision=resolve_precision(recipe.precision, device),
        peak_memory_mib=peak_memory_mib(device),
        environment=environment,
        architecture=architecture,
        images=images,
        training_flops=image_flops * len(train) * len(history),
        model=model.eval(),
        folder=None if folder is None else folder.path,
    )
    if folder is not None:
        save_weights(model, folder.path / WEIGHTS)
        result.save(folder.path / RESULT)
        folder.back_up(WEIGHTS, RESULT)
        if progress:
            say(f"Saved {RESULT} and {WEIGHTS} in {folder.path}")
    if progress:
        print(_test_line(result))
    return result


def _test_line(result: Result) -> str:
    return f"Test accuracy at the end: {result.test_accuracy:.2f} %"


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files, and the folder with their copies, if any."""

    path: Path
    backup: Path | None

    @classmethod
    def open(
        cls, out: Path, place: Path, wanted: Wanted, *, resume: bool, backup: str | Path | None
    ) -> RunFolder:
        """A new folder; to resume, the newest run that broke off, or else the finished one.

        Runs by another recipe, on another dataset or of another model are left as they are, here
        and among the backups, and so are finished ones on other images or labels.

        Args:
            out: the folder of all results.
            place: the run's own folder in it, where that is not taken.
            wanted: what a run must be of to be gone on with, or to be given as it is.
            resume: look for an earlier run.
            backup: the folder of all backups.
        """
        backup = None if backup is None else user_path(backup)
        if backup is not None and not backup.is_dir():
            raise FileNotFoundError(
                f"There is no folder {backup} for backups. Make it, or mount the drive first."
            )
        here = wanted.found_in(out / place) if resume else []
        copies: list[Path] = []
        if backup is not None:
            copies = wanted.found_in(backup / place) if resume else []
            if here and not _is_finished(here[0]):  # a finished copy is of another run than this
                copies = [folder for folder in copies if not _is_finished(folder)]
            copies = copies or [new_folder(backup / place)]
        copy = copies[0] if copies else None
        if here:
            return cls(here[0], copy)
        folder = new_folder(out / place)
        for name in (CHECKPOINT, WEIGHTS, RESULT):  # with a result, it is a finished run
            if copy is not None and (copy / name).exists():
                copy_atomically(copy / name, folder / name)
        return cls(folder, copy)

    def result(self) -> Result | None:
        """The result of a finished run; None where it has not finished."""
        return load_result(self.path) if _is_finished(self.path) else None

    def back_up(self, *names: str) -> None:
        """Copy files to the backup; where that fails, say so and go on: the run matters more."""
        if self.backup is None:
            return
        for name in names:
            try:
                copy_atomically(self.path / name, self.backup / name)
            except OSError as error:
                echo(f"Could not copy {name} to {self.backup}: {error}\n", sys.stderr)

    def remove_if_empty(self) -> None:
        """Leave nothing of a run that never began."""
        for folder in (self.path, self.backup):
            if folder is not None and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@dataclass(frozen=True)
class Wanted:
    """What makes two runs the same, but for where one of them stopped."""

    dataset: str
    recipe: Recipe
    seed: int
    architecture: str
    images: str

    def found_in(self, place: Path) -> list[Path]:
        """Folders of such runs: those that broke off, then the finished ones; the newest first."""
        folders = run_folders(place)
        dataset = dataset_of(self.images)
        unfinished = [
            folder
            for folder in folders
            if not _is_finished(folder)
            and is_of(folder / CHECKPOINT, self.recipe, dataset, self.architecture)
        ]
        finished = [
            folder
            for folder in folders
            if _is_finished(folder) and self.is_met_by(load_result(folder))
        ]
        return unfinished + finished

    def is_met_by(self, result: Result) -> bool:
        """Whether a finished run is what is wanted."""
        return (
            result.seed == self.seed
            and result.is_of(self.dataset, self.recipe, self.architecture)
            and result.images in ("", self.images)
        )


def _is_finished(folder: Path) -> bool:
    return (folder / RESULT).exists()
