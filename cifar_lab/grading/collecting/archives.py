"""Archives of unknown origin, unpacked without harm: zip, tar and tar.gz.

Only ordinary files and folders come out, below the one folder that is given, and no more than the
limits allow. Python's own `extractall` follows what an archive says; here nothing of it is trusted:
neither sizes nor names.
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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from cifar_lab.grading.collecting.names import SafePaths

MIB = 2**20
PART = MIB  # bytes that are read at once
MOST_HEADER_MIB = 16  # of one header in a tar: longer ones would fill the memory
NEVER_SUSPECT_MIB = 64  # so small that it is no bomb, however well it was packed
DEEPEST, LONGEST_PATH = 32, 1_000  # folders; bytes
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
END_OF_ZIP, END_OF_ZIP_BYTES = b"PK\x05\x06", 22 + 2**16 + 20 + 56
END_OF_ZIP64, END_OF_ZIP64_BYTES, LOCATOR_BYTES = b"PK\x06\x06", 56, 20
OTHER_ARCHIVES = (
    ".7z",
    ".rar",
    ".tar.xz",
    ".txz",
    ".tar.bz2",
    ".tbz2",
    ".tar.zst",
    ".gz",
    ".bz2",
    ".xz",
)
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


class ArchiveError(ValueError):
    """An archive that is not unpacked; the message completes "NAME ..."."""


class RefusedError(Exception):
    """An entry that is left out; the message says why.

    Args:
        reason: The message.
        is_loss: As in `Refused`.
    """

    def __init__(self, reason: str, *, is_loss: bool = False) -> None:
        super().__init__(reason)
        self.is_loss = is_loss


@dataclass(frozen=True)
class UnpackLimits:
    """How much may come out of an archive.

    Attributes:
        files: Most files and folders.
        mib: Most MiB of all files.
        file_mib: Most MiB of one file.
        ratio: Most bytes for each byte of the archive, where there are more than a few.
        directory_mib: Most MiB of a zip's list of entries, which is read at once.
    """

    files: int
    mib: int
    file_mib: int
    ratio: int = 200
    directory_mib: int = 8


OF_STUDENT = UnpackLimits(files=10_000, mib=2_048, file_mib=1_024)
OF_CLASS = UnpackLimits(files=300_000, mib=512 * 1024, file_mib=2_048, directory_mib=128)


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


@dataclass(frozen=True)
class _Entry:
    """One entry of an archive; `refusal` is set where it can't be read."""

    name: str
    is_folder: bool
    packed: int | None  # bytes
    modified: float | None
    open: Callable[[], IO[bytes]]
    refusal: RefusedError | None = None


def archive_kind(path: Path) -> str | None:
    """Return "zip", "tar" or "tar.gz"; "other" for archives that can't be read here; None for none.

    Weights count as none, though PyTorch writes them as zip.
    """
    name = path.name.lower()
    if name.endswith((".pth.tar", ".pt.tar", ".ckpt.tar")):
        return None
    if name.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    if name.endswith(".tar"):
        with suppress(OSError), path.open("rb") as content:
            content.seek(TAR_MAGIC_AT)
            return "tar" if content.read(len(TAR_MAGIC)) == TAR_MAGIC else None
    if name.endswith(".zip"):
        return None if _is_of_torch(path) else "zip"
    return "other" if name.endswith(OTHER_ARCHIVES) else None


def _is_of_torch(path: Path) -> bool:
    """Return whether this is what `torch.save` writes, by the name of its first entry."""
    try:
        with path.open("rb") as content:
            start = content.read(30 + LONGEST_PATH)
    except OSError:
        return False
    if not start.startswith(b"PK\x03\x04") or len(start) < 30:
        return False
    (length,) = struct.unpack_from("<H", start, 26)
    return start[30 : 30 + length].endswith(b"/data.pkl")


def archive_stem(name: str) -> str:
    """Return an archive's name without its suffix."""
    for suffix in (".tar.gz", ".tgz", ".tar", ".zip", *OTHER_ARCHIVES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


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
    with _explained(), _entries(archive, limits) as entries:
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
    with _explained(), _entries(archive, limits) as entries:
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


def _put(entry: _Entry, target: Path, written: _Written) -> None:
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


def _copy(content: IO[bytes], file: IO[bytes], entry: _Entry, written: _Written) -> None:
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


def too_large(limits: UnpackLimits) -> RefusedError:
    """Return the error for a file that is larger than one may be."""
    return RefusedError(f"larger than {limits.file_mib:,} MiB", is_loss=True)


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


@contextmanager
def _entries(archive: Path, limits: UnpackLimits) -> Iterator[Iterator[_Entry]]:
    """Open an archive, and yield its entries one after another.

    Raises:
        ArchiveError: It can't be read.
    """
    kind = archive_kind(archive)
    with ExitStack() as opened:
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


def _zip_entries(archive: zipfile.ZipFile) -> Iterator[_Entry]:
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
        yield _Entry(
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
) -> Iterator[_Entry]:
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
        yield _Entry(
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
