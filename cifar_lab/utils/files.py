"""Files that are complete or absent, even after an interruption."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

BYTE_ORDER_MARK_TOO = "utf-8-sig"  # UTF-8, with the mark that editors on Windows put first or not
NO_FSYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # some mounted drives have none
IS_WINDOWS = os.name == "nt"


def user_path(path: str | Path) -> Path:
    """Return the path with `~` expanded: a shell leaves it as it is after an equals sign."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (which leaves `~name` of no user as it is)


def read_text(path: str | Path) -> str:
    """Return the content of a text file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: The file can't be read.
        UnicodeDecodeError: The file is not UTF-8.
    """
    return Path(path).read_text(encoding=BYTE_ORDER_MARK_TOO)


def write_atomically(
    path: str | Path,
    write: Callable[[IO[bytes]], object],
    *,
    check: Callable[[Path], object] | None = None,
) -> None:
    """Write a temporary file in the same folder, then rename it to `path` in one step.

    A reader finds the old content or the new one, never a part, even if the process is killed.

    Args:
        path: The file to write; missing folders are created.
        write: Is called with the open temporary file.
        check: Is called with the temporary file's path; if it raises, the old content stays.

    Raises:
        OSError: The folder can't be written, or the disk is full; the old content stays.
    """
    path = user_path(path)
    with _full_disk_explained(path):
        temporary = _write_beside(path, write)
        try:
            if check is not None:
                check(temporary)
            _put_in_place(temporary, path)
        except BaseException:
            _remove(temporary)
            raise


def write_together(contents: Mapping[Path, bytes | None]) -> None:
    """Write several files, all of them or none.

    All contents are written to temporary files first; if renaming one of these fails, the files
    before it get their old contents back. Only a power cut or a killed process can leave some of
    them changed.

    Args:
        contents: Maps each file to its new content; None deletes the file.

    Raises:
        OSError: A folder can't be written, or the disk is full; all files are as they were.
    """
    ready: dict[Path, Path | None] = {}
    put_aside: dict[Path, Path | None] = {}
    try:
        for path, content in contents.items():
            with _full_disk_explained(path):
                ready[path] = None if content is None else _write_beside(path, _writer(content))
        for path, temporary in ready.items():
            old = put_aside[path] = _free_name(path) if path.exists() else None
            if old is not None:
                path.replace(old)
            if temporary is not None:
                _put_in_place(temporary, path)
    except BaseException:
        for path, old in put_aside.items():
            if old is None:
                _remove(path)
            elif old.exists():
                old.replace(path)
        raise
    else:
        _remove(*put_aside.values())
    finally:
        _remove(*ready.values())


def _writer(content: bytes) -> Callable[[IO[bytes]], object]:
    return lambda file: file.write(content)


def _free_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _write_beside(path: Path, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a temporary file in the folder of `path`, flush it to the disk, and return its path."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        reason = "A file is where a folder is needed; give another path"
        raise NotADirectoryError(errno.ENOTDIR, reason, str(path.parent)) from error
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            flush_to_disk(file)
        with suppress(OSError):  # exFAT, CIFS and some mounts know no permissions
            temporary.chmod(0o644)  # mkstemp's is for the owner alone
    except BaseException:
        _remove(temporary)
        raise
    return temporary


def flush_to_disk(file: IO[bytes]) -> None:
    """Bring what was written to the disk, where the file system can do that."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NO_FSYNC:
            raise


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a file over another, which on Windows somebody may be reading for a moment."""
    for pause in (0.05, 0.2, 0.5, 1.0) if IS_WINDOWS else ():
        try:
            temporary.replace(path)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    temporary.replace(path)


def _remove(*paths: Path | None) -> None:
    for path in paths:
        with suppress(OSError):
            if path is not None:
                path.unlink(missing_ok=True)


@contextmanager
def _full_disk_explained(path: Path) -> Iterator[None]:
    """Add the file and what to do to the error of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno, f"{error.strerror}. Free some, or give another folder", str(path)
        ) from error


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file; `target` has its old content or the complete copy, never a part."""
    with source.open("rb") as content:
        write_atomically(target, lambda file: shutil.copyfileobj(content, file))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes atomically."""
    write_atomically(path, _writer(content))


def write_text(path: str | Path, text: str) -> None:
    """Write a text atomically in UTF-8; characters that UTF-8 can't hold become question marks."""
    write_bytes(path, text.encode("utf-8", errors="replace"))
