"""The files of runs that were done where the folder of results is not seen."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from cifar_lab.experiments.earlier_runs import FILES, State, earlier_runs
from cifar_lab.experiments.folders import RESULT, new_folder
from cifar_lab.experiments.results import load_result
from cifar_lab.utils.files import write_bytes


def received(files: Mapping[str, bytes], place: Path, *, resume: bool) -> Path:
    """Write the files of a run that was done elsewhere, the result last; return its folder.

    Args:
        files: The contents of the files by name.
        place: The usual folder of the run; one with a number appended where that is taken.
        resume: Whether they go to the folder of an interrupted or shorter run of the same kind.
    """
    folder = _unfinished(files, place) if resume else None
    if folder is None:
        folder = new_folder(place)
    else:
        (folder / RESULT).unlink(missing_ok=True)  # of a shorter run: not of these weights
    for name in FILES:  # the result last: with it, the run is finished
        if name in files:
            write_bytes(folder / name, files[name])
    return folder


def _unfinished(files: Mapping[str, bytes], place: Path) -> Path | None:
    """Return the folder of an interrupted or shorter run of the same kind; None without one."""
    with tempfile.TemporaryDirectory() as arrival:
        Path(arrival, RESULT).write_bytes(files[RESULT])
        same = earlier_runs(load_result(arrival), place)
    return next((one.folder for one in same if one.state is not State.FINISHED), None)
