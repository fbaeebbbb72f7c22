"""One run of an experiment: train, measure on the test set, save, and resume when interrupted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from cifar_lab.data.datasets import load
from cifar_lab.data.image_set import Data, split
from cifar_lab.data.leakage import identity, labels_identity
from cifar_lab.data.shares import share_of_data
from cifar_lab.evaluation import accuracy_by_views
from cifar_lab.experiments.catalog import Experiment, find_experiment
from cifar_lab.experiments.folders import RESULT, WEIGHTS, refuse_resume_and_again
from cifar_lab.experiments.results import Result, accuracy_text
from cifar_lab.experiments.run_folder import RunFolder
from cifar_lab.models.counting import (
    architecture_digest,
    count_macs,
    count_parameters,
    count_training_flops,
)
from cifar_lab.training.checkpoint import saved_precision
from cifar_lab.training.history import History
from cifar_lab.training.loop import fit
from cifar_lab.training.precision import resolve_precision
from cifar_lab.training.progress import Callback
from cifar_lab.training.recipe import Recipe
from cifar_lab.training.sharing import copy_model_from_first
from cifar_lab.utils.console import say
from cifar_lab.utils.devices import as_device
from cifar_lab.utils.environment import describe_environment, peak_memory_mib
from cifar_lab.utils.files import user_path
from cifar_lab.utils.ranks import join_ranks
from cifar_lab.utils.seeding import check_seed, seed_everything


def run(
    experiment: str | Experiment,
    *,
    seed: int = 0,
    data: Data | None = None,
    recipe: Recipe | None = None,
    out: str | Path | None = "runs",
    resume: bool = False,
    again: bool = False,
    backup: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
    callback: Callback | None = None,
) -> Result:
    """Train an experiment's model and measure it on the test set.

    Several processes that torchrun started share the run, as in `fit`; the first one writes.

    Args:
        experiment: Name of an experiment, such as "cifar10-mlp", or a custom `Experiment`.
        seed: Seeds the initial weights, the split, shuffling, augmentation and dropout.
        data: Images already in memory, also of another dataset (the result says which); None
            loads the experiment's own.
        recipe: Recipe to use in place of the experiment's.
        out: Folder for results; this one goes to the folder `NAME/seed-SEED` in it. A checkpoint is
            saved there after every epoch. None saves nothing.
        resume: Resumes the newest interrupted run; without one, returns the result of a finished
            run; without that either, trains on a finished run that had fewer epochs; and starts
            from scratch where there is none, in a folder with a number appended if there are runs
            with another recipe, network or images.
        again: Trains from scratch, in a folder with a number appended where there is a run already.
        backup: Existing folder (on Google Drive, say) that gets a copy of the checkpoint, the
            weights and the result, and from which `resume` takes them where `out` has none, or
            fewer epochs. If it fails later, a line says so, and the run goes on.
        device: Device to train on; None for the best available.
        progress: Prints the progress, one line per epoch.
        callback: Is called with a `Progress` after each epoch, and ends the training if it returns
            True.

    Returns:
        The result, with the trained model in eval mode as `result.model`.

    Raises:
        ValueError: The experiment is unknown, the device or seed can't be used, or a checkpoint
            is damaged or of another run.
        TypeError: The experiment is something else, such as a network.
        FileExistsError: There is a run already, and neither `resume` nor `again` is given.
        FileNotFoundError: The folder for backups does not exist.
        OSError: It can't be read, or `out` can't be written.
        TrainingDivergedError: The loss became NaN or infinite.

    Example:
        >>> import cifar_lab as lab
        >>> recipe = lab.Recipe(epochs=1, batch_size=500, optimizer="adam", learning_rate=1e-3)
        >>> data = lab.load("synthetic")  # without it, the experiment's own dataset
        >>> result = lab.run("cifar10-mlp", seed=3, data=data, recipe=recipe, progress=False)
        >>> result.folder.as_posix(), len(result.history), result.test_accuracy > 10
        ('runs/cifar10-mlp/seed-3', 1, True)
    """
    experiment = _known(experiment)
    if out is None and (resume or backup):
        raise ValueError("resume and backup need a folder for checkpoints; give out=...")
    refuse_resume_and_again(resume=resume, again=again)
    seed, device = check_seed(seed), as_device(device)
    ranks = join_ranks()
    data = data or load(experiment.dataset)
    seed_everything(seed)
    model = experiment.build_model(data.train.num_classes)
    planned = _planned(experiment, model, data, recipe or experiment.recipe, seed, device)
    image_flops = count_training_flops(model)
    tell = say if progress and ranks.is_first else _silent
    tell(
        f"{experiment.name} (seed {seed}) on {data.name}: {planned.parameters:,} parameters, "
        f"{planned.macs:,} MACs"
    )

    # Hold out validation images, and open the run's folder.
    train, validation = data.train, None
    if experiment.validation_fraction:
        train, validation = split(train, experiment.validation_fraction, seed=seed)
    planned = replace(planned, images=f"{identity(train)}, {labels_identity(train)}")
    folder = RunFolder()
    if out is not None:
        folder = ranks.from_first(
            lambda: RunFolder.open(
                user_path(out), planned, resume=resume, again=again, backup=backup
            ),
            told=RunFolder.for_others,
        )
    if folder.note:
        tell(folder.note)
    finished = folder.finished(model)
    if finished is not None:
        copy_model_from_first(ranks, model)
        tell(f"Already trained: loaded from {folder.path}. {_test_line(finished)}")
        return replace(finished, model=model.to(device))

    # Train.
    train, test = train.to(device), data.test.to(device)
    validation = None if validation is None else validation.to(device)
    try:
        history = fit(
            model,
            train,
            planned.recipe,
            validation=validation,
            test=test if validation is None and experiment.watch_test else None,
            seed=seed,
            device=device,
            checkpoint=folder.checkpoint,
            resume=resume,
            on_epoch=lambda record: folder.back_up(),
            progress=progress,
            callback=callback,
            title=experiment.title,
        )
    except BaseException:
        folder.leave()
        raise

    # Measure and save.
    accuracies = accuracy_by_views(
        model, share_of_data(test, ranks, seed=seed), experiment.views, ranks
    )
    result = replace(
        planned,
        history=history,
        test_accuracy=accuracies.pop("single"),
        views=accuracies,
        test_uses=folder.earlier_tests
        + sum(record.test_accuracy is not None for record in history)
        + 1,
        seconds=sum(record.seconds for record in history),
        precision=ranks.from_first(lambda: saved_precision(folder.checkpoint))
        or resolve_precision(planned.recipe.precision, device),
        peak_memory_mib=peak_memory_mib(device),
        training_flops=image_flops * len(train) * len(history),
        model=model.eval(),
        folder=folder.path,
    )
    folder.save(result)
    if folder.path is not None:
        tell(f"Saved {RESULT} and {WEIGHTS} in {folder.path}")
    tell(_test_line(result))
    return result


def _known(experiment: str | Experiment) -> Experiment:
    """Return the experiment, also by its name."""
    if isinstance(experiment, str):
        return find_experiment(experiment)
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"experiment is a {type(experiment).__name__}; expected a name such as 'cifar10-mlp', "
            "or cifar_lab.Experiment(...). Train a network alone with cifar_lab.fit."
        )
    return experiment


def _planned(
    experiment: Experiment,
    model: nn.Module,
    data: Data,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> Result:
    """Return the result as far as it is known before training."""
    return Result(
        experiment=experiment.name,
        title=experiment.title,
        dataset=data.name,
        model_name=experiment.model if isinstance(experiment.model, str) else None,
        num_classes=data.train.num_classes,
        recipe=recipe,
        seed=seed,
        parameters=count_parameters(model),
        macs=count_macs(model),
        history=History(),
        test_accuracy=math.nan,
        test_uses=0,
        seconds=0.0,
        precision=recipe.precision,
        peak_memory_mib=None,
        environment=describe_environment(device),
        architecture=architecture_digest(model),
    )


def _silent(line: str) -> None:
    pass


def _test_line(result: Result) -> str:
    return f"Test accuracy at the end: {accuracy_text(result.test_accuracy, result.views)}"
