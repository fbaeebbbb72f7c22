"""Drives that fail, for tests of backups: real ones where this machine lets us mount any."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest

DETACH = 2  # MNT_DETACH: also while somebody waits for an answer


class Mounts:
    """File systems that are mounted over a folder; what can't be mounted here skips the test."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._folders: list[Path] = []
        self._connections: list[int] = []

    def full(self, folder: Path, size: str) -> None:
        """Mount an empty file system of this size."""
        self._mount("tmpfs", folder, f"size={size}")

    def hung(self, folder: Path) -> None:
        """Mount a drive whose program never answers: every look at it waits."""
        try:
            self._connections.append(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            pytest.skip(f"can't open /dev/fuse: {error}")
        who = f"user_id={os.getuid()},group_id={os.getgid()}"
        self._mount("fuse", folder, f"fd={self._connections[-1]},rootmode=40000,{who}")

    def dead(self, folder: Path) -> None:
        """Mount a drive whose program has died: "Transport endpoint is not connected"."""
        self.hung(folder)
        self._die()

    def gone(self) -> None:
        """Unmount all; what the folders held before is there again."""
        self._die()
        while self._folders:
            assert self._libc is not None
            self._libc.umount2(os.fsencode(self._folders.pop()), DETACH)

    def _die(self) -> None:
        while self._connections:
            os.close(self._connections.pop())

    def _mount(self, kind: str, folder: Path, options: str) -> None:
        if self._libc is None:
            pytest.skip("mounts file systems of Linux")
        given = (b"none", os.fsencode(folder), kind.encode(), 0, options.encode())
        if self._libc.mount(*given):
            self._die()
            pytest.skip(f"can't mount a {kind} here: {os.strerror(ctypes.get_errno())}")
        self._folders.append(folder)
