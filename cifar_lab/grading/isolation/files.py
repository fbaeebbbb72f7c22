"""Folders that hostile code may have filled: measured, copied and removed without harm."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

MIB = 2**20
MOST_FILES = 10_000  # in a work folder: empty files fill a disk as well
REMOVAL_SECONDS = 5.0  # what takes longer to remove is removed in the background


def usage(folder: Path) -> tuple[int, int]:
    """Return the bytes and the number of files in a folder, counted until there are too many."""
    total = count = 0
    try:
        for path in walk(folder):
            count += 1
            if count > MOST_FILES:
                break
            with suppress(FileNotFoundError):
                total += path.lstat().st_blocks * 512
    except OSError:  # folders in folders, deeper than the longest path: nobody needs that
        count = MOST_FILES + 1
    return total, count


def mounted_usage(mount: Path) -> tuple[int, int]:
    """Return the bytes and the number of files of a file system; zeros where out of reach."""
    try:
        state = os.statvfs(mount)
    except OSError:
        return 0, 0
    return (state.f_blocks - state.f_bfree) * state.f_frsize, state.f_files - state.f_ffree


def never(path: Path) -> bool:
    """Return False: nothing is left out."""
    return False


def walk(folder: Path, left_out: Callable[[Path], bool] = never) -> Iterator[Path]:
    """Yield all that lies below a folder; links are not followed, the unreadable is passed over.

    Args:
        folder: Folder to begin with.
        left_out: Function that is asked for each path; where it is true, that and all below it is
            passed over.

    Raises:
        OSError: it is nested so deeply that paths become too long.
    """
    waiting = [folder]
    while waiting:
        try:
            entries = list(waiting.pop().iterdir())
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise
            continue
        for path in entries:
            if left_out(path):
                continue
            yield path
            if is_folder(path):
                waiting.append(path)


def is_folder(path: Path) -> bool:
    """Return whether this is a folder, and not a link to one.

    Raises:
        OSError: the path is too long.
    """
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        return False


def copy(
    source: Path, target: Path, most_mib: int, left_out: Callable[[Path], bool] = never
) -> None:
    """Copy a file or a folder with all regular files in it; links and devices are left out.

    Args:
        source: File or folder to copy.
        target: Path of the copy, whose parent exists.
        most_mib: Largest size of all of it, in MiB.
        left_out: Function that is asked for each path below the source; where it is true, that and
            all below it is neither copied nor counted.

    Raises:
        OSError: it can't be read, or is too large.
    """
    left = most_mib * MIB
    for path in [source, *walk(source, left_out)]:
        there = target / path.relative_to(source)
        if is_folder(path):
            there.mkdir(parents=True, exist_ok=True)
        elif stat.S_ISREG(path.lstat().st_mode):
            left -= path.lstat().st_size
            if left < 0:
                raise OSError(f"{source} is larger than the {most_mib} MiB that are accepted")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)


def remove(folder: Path) -> None:
    """Remove a folder with all that it holds; continue in the background where that takes long.

    Folders are first moved to the top: neither recursion nor the longest path sets a limit.
    """
    steps = _removal(folder)
    deadline = time.monotonic() + REMOVAL_SECONDS
    for _ in steps:
        if time.monotonic() > deadline:  # as an exhausting number of folders does on some disks
            threading.Thread(target=lambda: deque(steps, maxlen=0)).start()
            return


def _removal(folder: Path) -> Iterator[None]:
    """Remove a folder step by step; what can't be removed stays."""
    waiting, emptied = [folder], []
    while waiting:
        current = waiting.pop()
        emptied.append(current)
        with suppress(OSError):
            current.chmod(0o700)
            for path in current.iterdir():
                yield
                with suppress(OSError):
                    if is_folder(path):
                        path.chmod(0o700)  # or its entry `..` can't be changed
                        place = folder / f".removed-{len(emptied)}-{len(waiting)}"
                        waiting.append(path.rename(place))
                    else:
                        path.unlink()
    for current in reversed(emptied):
        yield
        with suppress(OSError):
            current.rmdir()
