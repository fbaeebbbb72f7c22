"""Which files are archives: by their names, and by how they begin where a name may mislead."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
FIRST_NAME_AT = 30  # in a zip
MOST_LOOKED_AT = 1_024  # bytes of it
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
            start = content.read(MOST_LOOKED_AT)
    except OSError:
        return False
    if not start.startswith(b"PK\x03\x04") or len(start) < FIRST_NAME_AT:
        return False
    (length,) = struct.unpack_from("<H", start, 26)
    return start[FIRST_NAME_AT:][:length].endswith(b"/data.pkl")


def archive_stem(name: str) -> str:
    """Return an archive's name without its suffix."""
    for suffix in (".tar.gz", ".tgz", ".tar", ".zip", *OTHER_ARCHIVES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
