"""A limit on processes that Linux keeps for root as well, whom `RLIMIT_NPROC` does not bind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PARENTS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))  # of version 1, and of version 2
REMOVE_SECONDS = 2.0  # for the kernel to let go of the last process
JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'


def make(name: str, processes: int) -> Path | None:
    """Return a new control group with that many processes and threads; None if impossible."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    for parent in PARENTS:
        group = parent / name
        try:
            group.mkdir()
        except OSError:
            continue
        with suppress(OSError):
            if (group / "pids.max").exists():
                (group / "pids.max").write_text(str(processes))
                joined = subprocess.run(
                    within(group, ["/bin/true"]), capture_output=True, check=False
                )
                if joined.returncode == 0:
                    return group
        remove(group)
    return None


def within(group: Path, command: Sequence[str]) -> list[str]:
    """Return the command that joins the group and then becomes another command."""
    return ["/bin/sh", "-c", JOIN, str(group), *command]


def remove(group: Path) -> None:
    """Remove a group whose processes have ended."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while group.exists() and time.monotonic() < deadline:
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.02)
