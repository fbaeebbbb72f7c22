"""Archives of unknown origin, unpacked without harm: zip, tar and tar.gz.

Only ordinary files and folders come out, below the one folder that is given, and no more than the
limits allow. Python's own `extractall` follows what an archive says; here nothing of it is trusted:
neither sizes nor names.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cifar_lab.grading.collecting.entries import MIB, PART, Entry, open_entries, path_parts
from cifar_lab.grading.collecting.names import SafePaths
from cifar_lab.grading.collecting.unpack_limits import (
    OF_CLASS,
    OF_STUDENT,
    ArchiveError,
    RefusedError,
    UnpackLimits,
    too_large,
)

NEVER_SUSPECT_MIB = 64  # so small that it is no bomb, however well it was packed


@dataclass(frozen=True)
class Refused:
    """An entry that was left out.

    Attributes:
        name: Its name in the archive.
        reason: Why.
        is_loss: Whether a part of somebody's work may be missing by it: a link or a path that leads
            elsewhere is none.
    """

    name: str
    reason: str
    is_loss: bool = False


@dataclass
class Unpacked:
    """What came out of an archive.

    Attributes:
        files: Names in the archive, and the paths that they have now, below the folder.
        refused: Entries that were left out.
    """

    files: list[tuple[str, Path]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def unpack(archive: Path, folder: Path, limits: UnpackLimits = OF_STUDENT) -> Unpacked:
    """Unpack an archive into an empty folder.

    Absolute and parent paths, links, devices and files that are too large are left out, and named.

    Args:
        archive: Archive, by whose name its kind is known.
        folder: Folder, empty or not there yet.
        limits: How much may come out.

    Raises:
        ArchiveError: It is damaged, encrypted, of a kind that can't be read, or too much comes out.
            What came out until then is left in the folder.
        OSError: The disk is full, or the folder can't be written.
    """
    unpacked, paths, written = Unpacked(), SafePaths(), _Written(archive.stat().st_size, limits)
    found: dict[Path, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    with open_entries(archive, limits) as entries:
        for entry in entries:
            written.count()
            try:
                parts = path_parts(entry.name)
                if entry.refusal is not None:
                    raise entry.refusal
                target = folder.joinpath(*paths.of(parts))
                _put(entry, target, written)
            except RefusedError as error:
                unpacked.refused.append(Refused(entry.name, str(error), error.is_loss))
                continue
            if not entry.is_folder:
                found[target] = entry.name  # of several entries with one name, the last
    unpacked.files = [(name, path) for path, name in found.items()]
    return unpacked


def top_names(archive: Path, limits: UnpackLimits = OF_CLASS) -> dict[str, bool]:
    """Return the names in an archive's outermost folder, and whether each is a folder.

    An archive that holds one folder, and nothing beside it, is looked at as that folder.

    Raises:
        ArchiveError: It can't be read.
    """
    names: list[tuple[str, ...]] = []
    with open_entries(archive, limits) as entries:
        for entry in entries:
            with suppress(RefusedError):
                parts = path_parts(entry.name)
                names.append((*parts, "") if entry.is_folder else parts)
    while names and len({parts[0] for parts in names}) == 1 and all(len(one) > 1 for one in names):
        names = [parts[1:] for parts in names if parts[1:] != ("",)]
    found: dict[str, bool] = {}
    for parts in names:
        found[parts[0]] = found.get(parts[0], False) or len(parts) > 1
    return found


class _Written:
    """How much came out so far."""

    def __init__(self, packed: int, limits: UnpackLimits) -> None:
        self.packed, self.limits, self.bytes, self.entries = packed, limits, 0, 0

    def count(self) -> None:
        self.entries += 1
        if self.entries > self.limits.files:
            raise ArchiveError(f"holds more than {self.limits.files:,} files and folders")

    def add(self, number: int) -> None:
        self.bytes += number
        if self.bytes > self.limits.mib * MIB:
            raise ArchiveError(f"unpacks to more than {self.limits.mib:,} MiB")
        if is_suspect(self.bytes, self.packed, self.limits):
            raise ArchiveError(f"unpacks to more than {self.limits.ratio} times its size")


def is_suspect(unpacked: int, packed: int, limits: UnpackLimits) -> bool:
    """Return whether so much comes out of so little that it was made for that."""
    return unpacked > NEVER_SUSPECT_MIB * MIB and unpacked > limits.ratio * packed


def _put(entry: Entry, target: Path, written: _Written) -> None:
    """Write an entry.

    Raises:
        RefusedError: It can't have this name, or is too large.
    """
    try:
        if entry.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # an earlier entry of the same name
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        number = os.open(target, flags, 0o644)
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise RefusedError("a file and a folder have the same name", is_loss=True) from error
    try:
        with os.fdopen(number, "wb") as file, entry.open() as content:
            _copy(content, file, entry, written)
    except RefusedError:
        target.unlink()
        raise
    if entry.modified is not None:
        with suppress(OSError, OverflowError, ValueError):
            os.utime(target, (entry.modified, entry.modified))


def _copy(content: IO[bytes], file: IO[bytes], entry: Entry, written: _Written) -> None:
    """Copy an entry's content, as much of it as there may be."""
    size, limits = 0, written.limits
    while part := content.read(PART):
        size += len(part)
        if size > limits.file_mib * MIB:
            raise too_large(limits)
        if entry.packed is not None and is_suspect(size, entry.packed, limits):
            raise RefusedError(f"unpacks to more than {limits.ratio} times its size", is_loss=True)
        written.add(len(part))
        file.write(part)
