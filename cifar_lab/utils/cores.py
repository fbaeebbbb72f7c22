"""The cores of this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def available_cores() -> float:
    """Return the number of cores that this process may use; a container may have parts of one."""
    try:
        cores: float = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        cores = min(cores, int(quota) / int(period))
    return cores
