"""The entries of an archive, one after another: what they are called, and what is in them.

Neither a list of entries nor a header is read that would fill the memory.
"""

from __future__ import annotations

import gzip
import os
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from cifar_lab.grading.collecting.archive_kinds import archive_kind
from cifar_lab.grading.collecting.unpack_limits import (
    ArchiveError,
    RefusedError,
    UnpackLimits,
    too_large,
)

MIB = 2**20
PART = MIB  # bytes that are read at once
MOST_HEADER_MIB = 16  # of one header in a tar
DEEPEST, LONGEST_PATH = 32, 1_000  # folders; bytes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others take much memory to undo
END_OF_ZIP, END_OF_ZIP_BYTES = b"PK\x05\x06", 22 + 2**16 + 20 + 56
END_OF_ZIP64, END_OF_ZIP64_BYTES, LOCATOR_BYTES = b"PK\x06\x06", 56, 20
OF_TOOLS = {"__macosx", ".ds_store", "thumbs.db", "desktop.ini"}
A_LINK, A_DEVICE = "a link", "a device, or something like it"
BY_TOOLS = "made by the system that packed it"
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    UnicodeError,
    OverflowError,
)


@dataclass(frozen=True)
class Entry:
    """One entry of an archive.

    Attributes:
        name: Name in the archive, which may lead anywhere.
        is_folder: Whether it is a folder.
        packed: Bytes that it takes in the archive, as that says; None where it does not.
        modified: When it was changed, as a time of the system's.
        open: Function that opens its content.
        refusal: Reason why it can't be read; None where it can.
    """

    name: str
    is_folder: bool
    packed: int | None  # bytes
    modified: float | None
    open: Callable[[], IO[bytes]]
    refusal: RefusedError | None = None


@contextmanager
def open_entries(archive: Path, limits: UnpackLimits) -> Iterator[Iterator[Entry]]:
    """Open an archive, and yield its entries one after another.

    Raises:
        ArchiveError: It can't be read.
    """
    kind = archive_kind(archive)
    with _explained(), ExitStack() as opened:
        if kind == "zip":
            _refuse_long_directory(archive, limits)
            yield _zip_entries(opened.enter_context(zipfile.ZipFile(archive)))
        elif kind in ("tar", "tar.gz"):
            open_it = gzip.open if kind == "tar.gz" else open
            content: Any = opened.enter_context(open_it(archive, "rb"))
            most = (limits.mib + limits.file_mib) * MIB
            bounded: Any = _Bounded(content, most)
            tar = opened.enter_context(tarfile.open(fileobj=bounded, mode="r:"))
            yield _tar_entries(tar, bounded, limits)
        else:
            raise ArchiveError("is no archive that can be unpacked here: zip it")


def path_parts(name: str) -> tuple[str, ...]:
    """Return the parts of an entry's name.

    Raises:
        RefusedError: It leads elsewhere, or was made by the system that packed it.
    """
    name = name.replace("\\", "/")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":" and name[0].isalpha()):
        raise RefusedError("an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise RefusedError("a path that leads out of the archive")
    if any(part.lower() in OF_TOOLS for part in parts):
        raise RefusedError(BY_TOOLS)
    if len(parts) > DEEPEST or len(name.encode("utf-8", "replace")) > LONGEST_PATH:
        raise RefusedError("nested too deeply, or too long a path", is_loss=True)
    return parts


@contextmanager
def _explained() -> Iterator[None]:
    """Say of damage in one word that it is that."""
    try:
        yield
    except ArchiveError:
        raise
    except (gzip.BadGzipFile, *DAMAGE) as error:
        raise ArchiveError("is damaged, or no archive") from error
    except RuntimeError as error:  # zipfile's, of a password
        raise ArchiveError(f"can't be read: {error}") from error


def _refuse_long_directory(archive: Path, limits: UnpackLimits) -> None:
    """Refuse a zip whose list of entries would fill the memory: zipfile reads it at once."""
    with archive.open("rb") as content:
        content.seek(max(0, archive.stat().st_size - END_OF_ZIP_BYTES))
        end = content.read()
    at = end.rfind(END_OF_ZIP)
    if at < 0 or len(end) < at + 16:
        raise ArchiveError("is damaged, or no archive")
    (length,) = struct.unpack_from("<I", end, at + 12)
    of_zip64 = at - LOCATOR_BYTES - END_OF_ZIP64_BYTES
    if of_zip64 >= 0 and end.startswith(END_OF_ZIP64, of_zip64):
        (length,) = struct.unpack_from("<Q", end, of_zip64 + 40)
    if length > limits.directory_mib * MIB:
        raise ArchiveError(f"holds more than {limits.files:,} files and folders")


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        refusal = None
        if info.flag_bits & 1:
            raise ArchiveError("is encrypted: ask for it without a password")
        if mode and mode not in (stat.S_IFREG, stat.S_IFDIR):
            refusal = RefusedError(A_LINK if mode == stat.S_IFLNK else A_DEVICE)
        elif info.compress_type not in METHODS:
            refusal = RefusedError("packed in a way that can't be read here", is_loss=True)
        modified = None
        with suppress(ValueError, OverflowError):
            modified = time.mktime((*info.date_time, 0, 0, -1))
        yield Entry(
            name=_name_in_zip(info),
            is_folder=info.is_dir(),
            packed=info.compress_size,
            modified=modified,
            open=partial(archive.open, info),
            refusal=refusal,
        )


def _name_in_zip(info: zipfile.ZipInfo) -> str:
    """Return an entry's name: many programs write UTF-8 without saying so."""
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode("utf-8")
    return info.filename


def _content_in_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(info)
    if content is None:
        raise RefusedError(A_DEVICE)
    return content


def _tar_entries(
    archive: tarfile.TarFile, content: _Bounded, limits: UnpackLimits
) -> Iterator[Entry]:
    known: list[tarfile.TarInfo] = vars(archive)["members"]
    while (info := archive.next()) is not None:
        known.clear()  # or it fills the memory
        refusal = None
        if info.issym() or info.islnk():
            refusal = RefusedError(A_LINK)
        elif not (info.isreg() or info.isdir()):
            refusal = RefusedError(A_DEVICE)
        elif info.size > limits.file_mib * MIB:
            refusal = too_large(limits)
        yield Entry(
            name=info.name,
            is_folder=info.isdir(),
            packed=None,
            modified=float(info.mtime),
            open=partial(_content_in_tar, archive, info),
            refusal=refusal,
        )
    while content.read(PART):  # to where gzip's checksum is
        pass


class _Bounded:
    """A tar's content, of which no more is read than may come out, and no header at any length."""

    def __init__(self, content: IO[bytes], most: int) -> None:
        self._content, self._most = content, most

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER_MIB * MIB:
            raise ArchiveError("is damaged, or made to fill the memory")
        self._check(self.tell() + size)
        return self._content.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            position, whence = position + self.tell(), os.SEEK_SET
        self._check(position)
        return self._content.seek(position, whence)

    def tell(self) -> int:
        return self._content.tell()

    def _check(self, position: int) -> None:
        if position > self._most:
            raise ArchiveError(f"unpacks to more than {self._most // MIB:,} MiB")
