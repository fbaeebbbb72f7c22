"""A submission's folder as bytes, to be unpacked and graded on another machine."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from cifar_lab.grading.isolation.files import walk
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.submissions.folder import MOST_ENTRIES, is_left_out

MIB = 2**20
MOST_MIB = 256  # of a submission that travels
NOWHERE = "a-link-is-never-followed"


class PackingError(ValueError):
    """An error for a submission that can't be sent to another machine."""


def refuse_unpackable(folder: Path) -> None:
    """Say why a submission can't be sent, before it is packed.

    Raises:
        PackingError: It is larger than what is sent, or can't be read.
    """
    try:
        for path in _entries(folder.resolve()):
            if not path.is_symlink() and not os.access(path, os.R_OK):
                raise PackingError(f"{shown_name(path.name)} can't be read: permission denied")
    except OSError as error:
        raise PackingError(f"it can't be read: {error}") from error


def packed(folder: Path) -> bytes:
    """Return all files of a submission as a tar archive, without compression.

    What no check looks into (`is_left_out`) is not in it. Links lead nowhere: the checks tell of
    them, and follow none.

    Raises:
        PackingError: It is larger than what is sent.
        OSError: It can't be read.
    """
    folder, content = folder.resolve(), io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _entries(folder):
            _add(archive, path, str(path.relative_to(folder)))
    return content.getvalue()


def _entries(folder: Path) -> Iterator[Path]:
    """Yield all that is packed, folders before what they hold."""
    size = 0
    for number, path in enumerate(walk(folder, is_left_out)):
        entry = path.lstat()
        size += entry.st_size if stat.S_ISREG(entry.st_mode) else 0
        if size > MOST_MIB * MIB:
            raise PackingError(f"it holds more than the {MOST_MIB} MiB that are sent to a worker")
        if number >= MOST_ENTRIES:
            raise PackingError(f"it holds more than {MOST_ENTRIES:,} files and folders")
        yield path


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file, a folder or a link; of other kinds, such as sockets, the checks know nothing."""
    entry = archive.gettarinfo(str(path), arcname=name)
    if entry is None:
        return
    entry.uname = entry.gname = ""  # the instructor's own name is nobody's business
    if entry.issym():
        entry.linkname = NOWHERE
        archive.addfile(entry)
    elif stat.S_ISREG(path.lstat().st_mode):
        entry.type, entry.size = tarfile.REGTYPE, path.lstat().st_size  # a second hard link, too
        with path.open("rb") as file:
            archive.addfile(entry, file)
    elif entry.isdir():
        archive.addfile(entry)


def unpack(content: bytes, folder: Path) -> None:
    """Write the files that `packed` took to a new folder.

    Raises:
        OSError: The folder can't be written.
    """
    folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        # Python before 3.10.12 and 3.11.4 has no filters; the archive is our own anyway.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
