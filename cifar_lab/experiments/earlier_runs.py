"""Earlier runs in a folder or among its copies, and their relation to the one that is planned."""

from __future__ import annotations

import io
import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cifar_lab.data.leakage import dataset_of
from cifar_lab.experiments.backup import PREVIOUS
from cifar_lab.experiments.folders import CHECKPOINT, RESULT, WEIGHTS, run_folders
from cifar_lab.experiments.results import Result, load_result
from cifar_lab.training.checkpoint import SavedRun, saved_run

FILES = (CHECKPOINT, WEIGHTS, RESULT)  # in this order: with a result, it is a finished run


class State(Enum):
    """The relation of the run in a folder to the one that is planned."""

    INTERRUPTED = "the same, without a result"
    FINISHED = "the same, with its result"
    SHORTER = "the same with fewer epochs, with its result"


@dataclass(frozen=True)
class EarlierRun:
    """A run that the planned one can take over.

    Attributes:
        folder: Its folder.
        state: Its relation to the planned run.
        epochs: The number of epochs that are done; -1 where its checkpoint is damaged.
        has_other_images: Whether its checkpoint is of other images or labels, so that it can't be
            resumed.
        contents: The contents of its files, where they were asked for.
    """

    folder: Path
    state: State
    epochs: int
    has_other_images: bool = False
    contents: dict[str, bytes] = field(default_factory=dict, repr=False)

    def is_further_than(self, other: EarlierRun) -> bool:
        """Return whether more of the planned run is done here."""
        return self._progress > other._progress

    @property
    def _progress(self) -> tuple[bool, int]:
        return self.state is State.FINISHED, self.epochs


def earlier_runs(planned: Result, place: Path) -> list[EarlierRun]:
    """Return the runs of a place that the planned one can take over, the first choice first.

    They are the interrupted ones, then the finished, then those with fewer epochs; the newest comes
    first among each.
    """
    found = [earlier_run(planned, folder) for folder in run_folders(place)]
    return [run for state in State for run in found if run is not None and run.state is state]


def earlier_run(planned: Result, folder: Path) -> EarlierRun | None:
    """Return the run in a folder; None where it is another one than planned."""
    checkpoint = folder / CHECKPOINT
    result = load_result(folder) if (folder / RESULT).exists() else None
    state = _state(result, planned)
    if result is not None and state is State.FINISHED:
        return EarlierRun(folder, state, len(result.history))
    if state is None or not checkpoint.exists():
        return None
    saved = saved_run(checkpoint)
    if saved is None:  # `fit` says so
        return EarlierRun(folder, state, epochs=-1)
    if not _is_like(saved, planned):
        return None
    return EarlierRun(folder, state, saved.epochs, not _has_images(saved, planned))


@dataclass(frozen=True)
class FoundCopies:
    """What there is among the copies of a place.

    Attributes:
        runs: The runs that the planned one can take over, the first choice first.
        taken: The folders that hold a run, of any kind.
    """

    runs: list[EarlierRun]
    taken: list[Path]

    @property
    def names(self) -> list[str]:
        """The names of the taken folders."""
        return [folder.name for folder in self.taken]


def find_copies(planned: Result, place: Path) -> FoundCopies:
    """Look through the copies in `place`, `place-2`, ... of a backup.

    Damaged copies count as absent, and so do those of other images. The order is as that of
    `earlier_runs`, but those with more epochs come first, as a drive's times are not reliable.

    Raises:
        OSError: They can't be read.
    """
    runs: list[EarlierRun | None] = []
    taken: list[Path] = []
    for name in _listed(place.parent):
        if name != place.name and not name.startswith(f"{place.name}-"):
            continue
        folder = place.parent / name
        files = _listed(folder)
        if {*FILES, CHECKPOINT + PREVIOUS}.intersection(files):
            taken.append(folder)
            runs.append(_copy(planned, folder, files))
    found = sorted((run for run in runs if run is not None), key=lambda run: -run.epochs)
    return FoundCopies([run for state in State for run in found if run.state is state], taken)


def _listed(folder: Path) -> list[str]:
    """Return the names in a folder; none where it is missing, or is a file."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 (glob and exists hide a drive's errors)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _copy(planned: Result, folder: Path, files: list[str]) -> EarlierRun | None:
    """Return the run in a folder of copies; None where it is another one, or nothing is whole."""
    contents: dict[str, bytes] = {}
    result, weights = None, undamaged(folder / WEIGHTS)
    if RESULT in files and weights is not None:
        with suppress(ValueError):
            result = load_result(folder)
            contents = {WEIGHTS: weights, RESULT: (folder / RESULT).read_bytes()}
    saved = None
    for name in (CHECKPOINT, CHECKPOINT + PREVIOUS):
        content = undamaged(folder / name) if saved is None else None
        if content is not None:
            saved = saved_run(io.BytesIO(content))
            contents[CHECKPOINT] = content
    state = _state(result, planned)
    if result is not None and state is State.FINISHED:
        return EarlierRun(folder, state, len(result.history), contents=contents)
    if state is None or saved is None:
        return None
    if not _is_like(saved, planned) or not _has_images(saved, planned):
        return None
    return EarlierRun(folder, state, saved.epochs, contents=contents)


def undamaged(path: Path) -> bytes | None:
    """Return the content of a file that `torch.save` wrote; None where it is missing or not whole.

    Raises:
        OSError: It can't be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return content if archive.testzip() is None else None  # PyTorch checks no checksums
    except (zipfile.BadZipFile, EOFError, ValueError):
        return None


def _state(result: Result | None, planned: Result) -> State | None:
    """Return the state of a run from its result alone; None where it is of another run."""
    if result is None:
        return State.INTERRUPTED
    if result.seed != planned.seed or result.images not in ("", planned.images):
        return None
    if result.is_of(planned.dataset, planned.recipe, planned.architecture):
        return State.FINISHED
    return State.SHORTER if result.recipe.epochs < planned.recipe.epochs else None


def _is_like(saved: SavedRun, planned: Result) -> bool:
    """Return whether a checkpoint is of the planned run, or of its beginning."""
    return saved.is_of(planned.recipe, dataset_of(planned.images), planned.architecture)


def _has_images(saved: SavedRun, planned: Result) -> bool:
    """Return whether a checkpoint, as far as it tells, is of the planned images and labels."""
    images, labels = (saved.run.get(fact, "") for fact in ("images", "labels"))
    return not images or not labels or f"{images}, {labels}" == planned.images
