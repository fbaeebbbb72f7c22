"""The folder of a run: its checkpoint, weights and result."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from cifar_lab.experiments.earlier_runs import (
    FILES,
    EarlierRun,
    FoundCopies,
    State,
    earlier_run,
    earlier_runs,
)
from cifar_lab.experiments.folders import (
    CHECKPOINT,
    RESULT,
    WEIGHTS,
    make_folder,
    numbered,
    run_folders,
    run_place,
)
from cifar_lab.experiments.results import Result, load_result
from cifar_lab.experiments.run_copies import RunCopies
from cifar_lab.training.checkpoint import load_weights, save_weights
from cifar_lab.utils.files import write_bytes
from cifar_lab.utils.wording import counted


@dataclass(frozen=True)
class RunFolder:
    """The place of a run's files, and of their copies.

    Attributes:
        path: The run's folder; None for a run that saves nothing.
        copies: The copies of its files; None without a backup.
        result: The result that is there already: that of the run, or that of a shorter one which is
            trained on; None without one.
        is_finished: Whether it is that of the run.
        note: A sentence on the choice of the folder; "" where it is the usual one.
        writes: Whether this process writes the files: of several that share a run, the first does.
    """

    path: Path | None = None
    copies: RunCopies | None = None
    result: Result | None = None
    is_finished: bool = False
    note: str = ""
    writes: bool = True

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

        A finished run with fewer epochs is trained on. Where more epochs are done in the copy, that
        is taken. Runs with another recipe, dataset or model are left as they are, here and among
        the backups, and so are finished ones on other images or labels.

        Args:
            out: Folder of all results.
            planned: The run's result, as far as it is known before training.
            resume: Whether to look for an earlier run.
            again: Whether to make a new folder where there are runs already.
            backup: Folder of all backups.

        Raises:
            FileExistsError: There is a run already, and neither `resume` nor `again` is given.
            FileNotFoundError: The folder for backups does not exist.
            OSError: It can't be read.
        """
        name = run_place(planned.experiment, planned.seed)
        place = out / name
        copies = None if backup is None else RunCopies(backup, name, planned, place)
        there = None if copies is None else copies.look()
        if not resume and not again:
            _refuse_taken(planned, place, there)
        here = earlier_runs(planned, place) if resume else []
        found = there.runs if resume and there is not None else []
        run, copy = _pair(here, found)
        if run is not None:
            folder, note = run.folder, ""
        elif copy is not None:
            folder, note = _new_folder(place, wanted=copy.folder.name), ""
        else:
            folder = _new_folder(place, taken=there.names if there is not None else ())
            note = _note(folder, place) if resume else ""
        if copy is not None and (run is None or copy.is_further_than(run)):
            _restore(copy, folder)
            note = f"Taken from the copy in {copy.folder}: {counted(copy.epochs, 'epoch')}."
            run = earlier_run(planned, folder)
        if copies is not None:
            copies.begin(folder, run, copy, there, takes_over=resume)
        state = None if run is None else run.state
        result = None if state in (None, State.INTERRUPTED) else load_result(folder)
        return cls(folder, copies, result, is_finished=state is State.FINISHED, note=note)

    def for_others(self) -> RunFolder:
        """Return the folder as the other processes of the run have it, which write nothing."""
        return replace(self, copies=None, writes=False)

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
        """Return a finished run's result, with its weights in the model; None if not finished.

        Where this process writes nothing, the weights are still to be copied from the first one.
        """
        if self.result is None or self.path is None or not self.is_finished:
            return None
        if self.writes:
            load_weights(model, self.path / WEIGHTS)
        return replace(self.result, model=model.eval())

    def save(self, result: Result) -> None:
        """Save the result and the weights of its model, and complete the copies."""
        if self.writes and self.path is not None and result.model is not None:
            (self.path / RESULT).unlink(missing_ok=True)  # of a shorter run: not of these weights
            save_weights(result.model, self.path / WEIGHTS)
            result.save(self.path / RESULT)
            self.leave()

    def back_up(self) -> None:
        """Bring the copies up to date soon, while the run goes on."""
        if self.copies is not None:
            self.copies.follow()

    def leave(self) -> None:
        """Remove the folder if nothing was saved in it, or else complete the copies."""
        if not self.writes:
            return
        if self.path is not None and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
        elif self.copies is not None:
            self.copies.follow()
            self.copies.finish()


def _pair(
    here: Sequence[EarlierRun], copies: Sequence[EarlierRun]
) -> tuple[EarlierRun | None, EarlierRun | None]:
    """Return the first choice, and its copy; a copy alone where there is no run here."""
    if not here:
        return None, copies[0] if copies else None
    run, names = here[0], [each.folder.name for each in here]
    if run.has_other_images:  # `fit` says so
        return run, None
    of_its_name = [copy for copy in copies if copy.folder.name == run.folder.name]
    of_its_state = [
        copy for copy in copies if copy.state is run.state and copy.folder.name not in names
    ]  # a run that was taken from its copy can have another name here
    return run, next(iter(of_its_name + of_its_state), None)


def _restore(copy: EarlierRun, folder: Path) -> None:
    """Write what is in a copy into a run's folder."""
    if WEIGHTS in copy.contents:  # the old result is not of these weights
        (folder / RESULT).unlink(missing_ok=True)
    for name in FILES:
        if name in copy.contents:
            write_bytes(folder / name, copy.contents[name])


def _new_folder(place: Path, *, wanted: str = "", taken: Collection[str] = ()) -> Path:
    """Make `place`, or `place-2`, ... where that holds a run or is taken by a copy.

    Args:
        place: The usual folder.
        wanted: Name of the folder that comes before these.
        taken: Names of the folders that it can't be.
    """
    folder, number = place.with_name(wanted or place.name), 0
    while _is_taken(folder) or folder.name in taken:
        number += 1
        folder = numbered(place, number)
    return make_folder(folder)


def _is_taken(folder: Path) -> bool:
    return any((folder / name).exists() for name in FILES)


def _refuse_taken(planned: Result, place: Path, there: FoundCopies | None) -> None:
    """Raise where there is a run already: a second one must not go elsewhere by surprise."""
    found, like = run_folders(place), earlier_runs(planned, place)
    if not found and there is not None:
        found, like = there.taken, there.runs
    if not found:
        return
    if not like:
        raise FileExistsError(
            f"{found[0]} holds a run of another recipe, network or images. Train into a new "
            "folder next to it with again=True (--again) or resume=True (--resume), or give "
            "another folder with out=... (--out)."
        )
    kind, remedy = {
        State.INTERRUPTED: ("an interrupted", "Resume it"),
        State.FINISHED: ("the finished", "Load it"),
        State.SHORTER: ("a shorter", "Train it on"),
    }[like[0].state]
    raise FileExistsError(
        f"{like[0].folder} already holds {kind} run. {remedy} with resume=True (--resume), train "
        "from scratch into a new folder with again=True (--again), or give another folder with "
        "out=... (--out)."
    )


def _note(folder: Path, usual: Path) -> str:
    if folder == usual:
        return ""
    return (
        f"{usual.parent} has other runs of this seed, with another recipe, network or images; this "
        f"one goes to {folder}."
    )
