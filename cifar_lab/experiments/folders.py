"""The folders of runs: names, files, and new ones next to those that are there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cifar_lab.utils.files import user_path

# The files that a run leaves in its folder.
RESULT, WEIGHTS, CHECKPOINT = "result.json", "weights.pt", "checkpoint.pt"


def run_place(name: str, seed: int) -> Path:
    """Return the usual folder of a run below the folder of results."""
    return Path(name, f"seed-{seed}")


def refuse_resume_and_again(*, resume: bool, again: bool) -> None:
    """Raise a ValueError where both are given."""
    if resume and again:
        raise ValueError("resume=True takes what is there, again=True a new folder; give one.")


def run_folders(wanted: Path) -> list[Path]:
    """Return which of `wanted`, `wanted-2`, ... hold a checkpoint or result, the newest first."""
    wanted = user_path(wanted)
    newest: dict[Path, float] = {}
    for folder in (wanted.name, f"{wanted.name}-*"):
        for name in (CHECKPOINT, RESULT):
            for path in wanted.parent.glob(f"{folder}/{name}"):
                newest[path.parent] = max(newest.get(path.parent, 0.0), path.stat().st_mtime)
    return sorted(newest, key=lambda folder: newest[folder], reverse=True)


def new_folder(wanted: Path) -> Path:
    """Make `wanted`, or `wanted-2`, `wanted-3`, ... where that is taken: nothing is overwritten.

    Raises:
        OSError: The folder can't be made; the message says which and what to do.
    """
    number = 1
    while True:
        folder = numbered(user_path(wanted), number)
        try:
            return make_folder(folder, new=True)
        except FileExistsError:
            number += 1


def numbered(folder: Path, number: int) -> Path:
    """Return the folder for number 1, and `folder-2`, `folder-3`, ... for the others."""
    return folder if number == 1 else folder.with_name(f"{folder.name}-{number}")


def make_folder(folder: Path, *, new: bool = False) -> Path:
    """Make a folder and return it.

    Args:
        folder: The folder; missing ones above it are made too.
        new: Whether it is an error that it is there already.

    Raises:
        FileExistsError: It is there already.
        OSError: The folder can't be made; the message says which and what to do.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=not new)
    except OSError as error:
        if new and os.path.lexists(folder):
            raise
        raise OSError(
            f"Can't make the folder {folder} for results: {error.strerror}. "
            "Give a folder that can be written, with out=... or --out."
        ) from error
    return folder


def refuse_taken(places: Iterable[Path]) -> None:
    """Raise before the first of several runs where a later one would not begin.

    Args:
        places: The usual folder of each run.

    Raises:
        FileExistsError: There is a run already in one of them.
    """
    taken = [str(place) for place in places if run_folders(place)]
    if taken:
        more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""
        raise FileExistsError(
            f"There are runs in {', '.join(taken[:3])}{more} already. Give --resume (resume=True) "
            "to load the finished ones and resume the interrupted, --skip-finished to leave out "
            "the finished, --again (again=True) to train from scratch into new folders, or another "
            "folder with --out (out=...)."
        )
