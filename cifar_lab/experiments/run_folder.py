"""The folder of a run: its checkpoint, weights and result, and their copies in a backup."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from cifar_lab.data.leakage import dataset_of
from cifar_lab.experiments.results import (
    CHECKPOINT,
    RESULT,
    WEIGHTS,
    Result,
    load_result,
    new_folder,
    run_folders,
)
from cifar_lab.training.checkpoint import is_of, load_weights, save_weights
from cifar_lab.utils.console import echo
from cifar_lab.utils.files import copy_atomically, user_path


@dataclass(frozen=True)
class RunFolder:
    """The place of a run's files, and of their copies.

    Attributes:
        path: The run's folder; None for a run that saves nothing.
        backup: The folder of the copies; None without a backup.
    """

    path: Path | None = None
    backup: Path | None = None

    @classmethod
    def open(
        cls, out: Path, planned: Result, *, resume: bool, backup: str | Path | None
    ) -> RunFolder:
        """Make a new folder; to resume, take the newest interrupted run, or else the finished one.

        Runs with another recipe, dataset or model are left as they are, here and among the
        backups, and so are finished ones on other images or labels.

        Args:
            out: Folder of all results.
            planned: The run's result, as far as it is known before training.
            resume: Whether to look for an earlier run.
            backup: Folder of all backups.

        Raises:
            FileNotFoundError: The folder for backups does not exist.
        """
        place = Path(planned.experiment, f"seed-{planned.seed}")
        backup = None if backup is None else user_path(backup)
        if backup is not None and not backup.is_dir():
            raise FileNotFoundError(
                f"There is no folder {backup} for backups. Make it, or mount the drive first."
            )
        here = _runs_like(planned, out / place) if resume else []
        copies: list[Path] = []
        if backup is not None:
            copies = _runs_like(planned, backup / place) if resume else []
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

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint's path; None where nothing is saved."""
        return None if self.path is None else self.path / CHECKPOINT

    def finished(self, model: nn.Module) -> Result | None:
        """Return a finished run's result, with its weights in the model; None if not finished."""
        if self.path is None or not _is_finished(self.path):
            return None
        result = load_result(self.path)
        load_weights(model, self.path / WEIGHTS)
        self.remove_if_empty()
        return replace(result, model=model.eval())

    def save(self, result: Result) -> None:
        """Save the result and the weights of its model, and back them up."""
        if self.path is not None and result.model is not None:
            save_weights(result.model, self.path / WEIGHTS)
            result.save(self.path / RESULT)
            self.back_up(WEIGHTS, RESULT)

    def back_up(self, *names: str) -> None:
        """Copy files to the backup; a failure is only reported, since the run matters more."""
        if self.path is None or self.backup is None:
            return
        for name in names:
            try:
                copy_atomically(self.path / name, self.backup / name)
            except OSError as error:
                echo(f"Could not copy {name} to {self.backup}: {error}\n", sys.stderr)

    def remove_if_empty(self) -> None:
        """Remove the folders of a run that saved nothing."""
        for folder in (self.path, self.backup):
            if folder is not None and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _runs_like(planned: Result, place: Path) -> list[Path]:
    """Return the interrupted runs that the planned one can resume, then the same, finished ones.

    The newest comes first among each.
    """
    folders = run_folders(place)
    dataset = dataset_of(planned.images)
    unfinished = [
        folder
        for folder in folders
        if not _is_finished(folder)
        and is_of(folder / CHECKPOINT, planned.recipe, dataset, planned.architecture)
    ]
    finished = [
        folder
        for folder in folders
        if _is_finished(folder) and _is_same(planned, load_result(folder))
    ]
    return unfinished + finished


def _is_same(planned: Result, result: Result) -> bool:
    return (
        result.seed == planned.seed
        and result.is_of(planned.dataset, planned.recipe, planned.architecture)
        and result.images in ("", planned.images)
    )


def _is_finished(folder: Path) -> bool:
    return (folder / RESULT).exists()
