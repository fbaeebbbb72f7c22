"""How much may come out of an archive, and the errors for what does not."""

from __future__ import annotations

from dataclasses import dataclass


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


def too_large(limits: UnpackLimits) -> RefusedError:
    """Return the error for a file that is larger than one may be."""
    return RefusedError(f"larger than {limits.file_mib:,} MiB", is_loss=True)
