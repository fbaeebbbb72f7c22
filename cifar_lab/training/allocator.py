"""A setting of the memory allocator: freed memory is kept for the next training step."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

# Parameters of mallopt(3), from glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
LARGEST_INT = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Make glibc's `malloc` keep freed blocks of any size, and return whether it does.

    By default it returns blocks of 32 MiB and more to the system at once. A training step on the
    CPU frees and allocates dozens of these, and the system clears each page every time, which takes
    some percent of a step (see this room's README). With this setting the process holds its peak
    memory until it ends. Other C libraries and systems are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST_INT, M_TOP_PAD: 64 * 2**20}
    return all(libc.mallopt(name, value) for name, value in settings.items())
