"""The folder of a run: its checkpoint, weights and result, and their copies in a backup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from torch import nn

from cifar_lab.data.leakage import dataset_of
from cifar_lab.experiments.folders import (
    CHECKPOINT,
    RESULT,
    WEIGHTS,
    make_folder,
    numbered,
    run_folders,
)
from cifar_lab.experiments.results import Result, load_result
from cifar_lab.training.checkpoint import is_of, load_weights, save_weights
from cifar_lab.utils.console import echo
from cifar_lab.utils.files import copy_atomically, user_path

FILES = (CHECKPOINT, WEIGHTS, RESULT)  # in this order: with a result, it is a finished run


class State(Enum):
    """The relation of the run in a folder to the one that is planned."""

    INTERRUPTED = "the same, without a result"
    FINISHED = "the same, with its result"
    SHORTER = "the same with fewer epochs, with its result"


@dataclass(frozen=True)
class RunFolder:
    """The place of a run's files, and of their copies.

    Attributes:
        path: The run's folder; None for a run that saves nothing.
        backup: The folder of the copies; None without a backup.
        result: The result that is there already: that of the run, or that of a shorter one which is
            trained on; None without one.
        is_finished: Whether it is that of the run.
        note: A sentence on the choice of the folder; "" where it is the usual one.
    """

    path: Path | None = None
    backup: Path | None = None
    result: Result | None = None
    is_finished: bool = False
    note: str = ""

    @classmethod
    def open(
        cls,
        out: Path,
        planned: Result,
        *,
        resume: bool,
        again: bool = False,
        backup: str | Path | None = None,
    ) -> RunFolder:
        """Make a new folder; to resume, take the newest interrupted run, or else the finished one.

        A finished run with fewer epochs is trained on. Runs with another recipe, dataset or model
        are left as they are, here and among the backups, and so are finished ones on other images
        or labels.

        Args:
            out: Folder of all results.
            planned: The run's result, as far as it is known before training.
            resume: Whether to look for an earlier run.
            again: Whether to make a new folder where there are runs already.
            backup: Folder of all backups.

        Raises:
            FileExistsError: There is a run already, and neither `resume` nor `again` is given.
            FileNotFoundError: The folder for backups does not exist.
        """
        name = Path(planned.experiment, f"seed-{planned.seed}")
        place = out / name
        copied_to = None if backup is None else existing_folder(backup) / name
        places = [each for each in (place, copied_to) if each is not None]
        if not resume and not again:
            _refuse_taken(planned, places)
        here = _runs_like(planned, place) if resume else {}
        copies = _runs_like(planned, copied_to) if resume and copied_to is not None else {}
        if not here and not copies:
            folder, *new = _new_folders(places)
            note = _note(folder, place) if resume else ""
            return cls(folder, new[0] if new else None, note=note)
        folder, state = _taken_over(place, here, copies)
        copy = _first(copies, state)  # one in another state is that of another run
        if copy is None and copied_to is not None:
            (copy,) = _new_folders([copied_to])
            _copy_run(folder, copy, copy_or_report)
        result = None if state is State.INTERRUPTED else load_result(folder)
        return cls(folder, copy, result, is_finished=state is State.FINISHED)

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint's path; None where nothing is saved."""
        return None if self.path is None else self.path / CHECKPOINT

    @property
    def earlier_tests(self) -> int:
        """The number of times that the test set was measured at the end of a shorter run."""
        if self.result is None:
            return 0
        watched = sum(record.test_accuracy is not None for record in self.result.history)
        return self.result.test_uses - watched

    def finished(self, model: nn.Module) -> Result | None:
        """Return a finished run's result, with its weights in the model; None if not finished."""
        if self.result is None or self.path is None or not self.is_finished:
            return None
        load_weights(model, self.path / WEIGHTS)
        return replace(self.result, model=model.eval())

    def save(self, result: Result) -> None:
        """Save the result and the weights of its model, and back them up."""
        if self.path is not None and result.model is not None:
            save_weights(result.model, self.path / WEIGHTS)
            result.save(self.path / RESULT)
            self.back_up(WEIGHTS, RESULT)

    def back_up(self, *names: str) -> None:
        """Copy files to the backup; a failure is only reported, since the run matters more."""
        if self.path is not None and self.backup is not None:
            for name in names:
                copy_or_report(self.path / name, self.backup / name)

    def remove_if_empty(self) -> None:
        """Remove the folders of a run that saved nothing."""
        for folder in (self.path, self.backup):
            if folder is not None and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def existing_folder(backup: str | Path) -> Path:
    """Return the folder for backups.

    Raises:
        FileNotFoundError: It does not exist.
    """
    backup = user_path(backup)
    if not backup.is_dir():
        raise FileNotFoundError(
            f"There is no folder {backup} for backups. Make it, or mount the drive first."
        )
    return backup


def copy_or_report(source: Path, target: Path) -> None:
    """Copy a file to the backup; a failure is only reported, since the run matters more."""
    try:
        copy_atomically(source, target)
    except OSError as error:
        echo(f"Could not copy {source.name} to {target.parent}: {error}\n", sys.stderr)


def _copy_run(source: Path, target: Path, copy: Callable[[Path, Path], None]) -> None:
    """Copy the files of a run that are there."""
    for name in FILES:
        if (source / name).exists():
            copy(source / name, target / name)


def _taken_over(
    place: Path, here: dict[Path, State], copies: dict[Path, State]
) -> tuple[Path, State]:
    """Return the folder of an earlier run, taken from the backup where only that has it."""
    if not here:
        copy, state = next(iter(copies.items()))
        (folder,) = _new_folders([place])
        _copy_run(copy, folder, copy_atomically)
        return folder, state
    folder, state = next(iter(here.items()))
    longer = _first(copies, State.FINISHED)
    if state is State.SHORTER and longer is not None:  # it was trained on, on another machine
        _copy_run(longer, folder, copy_atomically)
        return folder, State.FINISHED
    return folder, state


def _first(folders: dict[Path, State], state: State) -> Path | None:
    return next((folder for folder in folders if folders[folder] is state), None)


def _new_folders(places: list[Path]) -> list[Path]:
    """Make each folder, or the same with `-2`, `-3`, ... where one of them holds a run."""
    number = 1
    while any(_is_taken(numbered(place, number)) for place in places):
        number += 1
    return [make_folder(numbered(place, number)) for place in places]


def _is_taken(folder: Path) -> bool:
    return any((folder / name).exists() for name in FILES)


def _refuse_taken(planned: Result, places: Iterable[Path]) -> None:
    """Raise where there is a run already: a second one must not go elsewhere by surprise."""
    for place in places:
        found = run_folders(place)
        if not found:
            continue
        like = _runs_like(planned, place)
        if not like:
            raise FileExistsError(
                f"{found[0]} holds a run of another recipe, network or images. Train into a new "
                "folder next to it with again=True (--again) or resume=True (--resume), or give "
                "another folder with out=... (--out)."
            )
        folder, state = next(iter(like.items()))
        kind, remedy = {
            State.INTERRUPTED: ("an interrupted", "Resume it"),
            State.FINISHED: ("the finished", "Load it"),
            State.SHORTER: ("a shorter", "Train it on"),
        }[state]
        raise FileExistsError(
            f"{folder} already holds {kind} run. {remedy} with resume=True (--resume), train from "
            "scratch into a new folder with again=True (--again), or give another folder with "
            "out=... (--out)."
        )


def _note(folder: Path, usual: Path) -> str:
    if folder == usual:
        return ""
    return (
        f"{usual.parent} has other runs of this seed, with another recipe, network or images; this "
        f"one goes to {folder}."
    )


def _runs_like(planned: Result, place: Path) -> dict[Path, State]:
    """Return the folders of runs that the planned one can take over, the first choice first.

    They are the interrupted ones, then the finished, then those with fewer epochs; the newest comes
    first among each.
    """
    states = {folder: _state(planned, folder) for folder in run_folders(place)}
    return {
        folder: state for wanted in State for folder, state in states.items() if state is wanted
    }


def _state(planned: Result, folder: Path) -> State | None:
    """Return the relation of a folder's run to the planned one; None where it is another run."""
    dataset = dataset_of(planned.images)
    checkpoint = folder / CHECKPOINT
    if not (folder / RESULT).exists():
        same = is_of(checkpoint, planned.recipe, dataset, planned.architecture)
        return State.INTERRUPTED if same else None
    result = load_result(folder)
    if result.seed != planned.seed or result.images not in ("", planned.images):
        return None
    if result.is_of(planned.dataset, planned.recipe, planned.architecture):
        return State.FINISHED
    fewer = result.recipe.epochs < planned.recipe.epochs and checkpoint.exists()
    if fewer and is_of(checkpoint, planned.recipe, dataset, planned.architecture):
        return State.SHORTER
    return None
