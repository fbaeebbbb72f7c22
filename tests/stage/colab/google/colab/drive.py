"""Drive as a folder: `$COLAB_STAND_IN_DRIVE`, which stays when the session's disk goes."""

from __future__ import annotations

import os
from pathlib import Path

FOREVER = 24 * 60 * 60 * 1000


def mount(
    mountpoint: str, force_remount: bool = False, timeout_ms: int = 120000, readonly: bool = False
) -> None:
    """Make the folder appear as `MyDrive`, with the refusals and the words of the real one."""
    if " " in mountpoint:
        raise ValueError("Mountpoint must not contain a space.")
    place = Path(mountpoint).expanduser()
    mine = place / "MyDrive"
    if mine.is_symlink():
        if not force_remount:
            print(
                f"Drive already mounted at {mountpoint}; to attempt to forcibly "
                f'remount, call drive.mount("{mountpoint}", force_remount=True).'
            )
            return
        mine.unlink()
    if place.is_symlink():
        raise ValueError("Mountpoint must not be a symlink")
    if place.is_dir() and any(place.iterdir()):
        raise ValueError("Mountpoint must not already contain files")
    if place.exists() and not place.is_dir():
        raise ValueError("Mountpoint must either be a directory or not exist")
    if not place.parent.exists():
        raise ValueError("Mountpoint must be in a directory that exists")
    place.mkdir(exist_ok=True)
    mine.symlink_to(os.environ["COLAB_STAND_IN_DRIVE"])
    print(f"Mounted at {mountpoint}")


def flush_and_unmount(timeout_ms: int = FOREVER) -> None:
    """Take the folder away again; the real one waits until all is written."""
    mine = Path("/content/drive/MyDrive")
    if mine.is_symlink():
        mine.unlink()
    else:
        print("Drive not mounted, so nothing to flush and unmount.")
