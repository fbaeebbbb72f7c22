"""The processes of one sandbox, what they use, and their end: from /proc, or else from `ps`."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
PROC = Path("/proc")
HAS_PROC = sys.platform == "linux" and PROC.joinpath("self", "stat").exists()
SHOWS_SHARES = PROC.joinpath("self", "smaps_rollup").exists()
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
KILL_SECONDS = 4.0  # after which a process that the kernel does not let go of is given up
ENOUGH_PROCESSES = 2000  # to know that there are too many


@dataclass(frozen=True)
class Process:
    """One row of the system's process table.

    Attributes:
        pid: Number of the process.
        parent: Number of its parent.
        group: Number of its process group.
        memory: Its memory, in bytes.
        threads: Number of its threads.
        state: Letter of its first thread's state: R (runs, or waits for a processor), S, Z, ...
        seconds: Processor time of all its threads; 0 where there is no /proc.
        ended_seconds: Processor time of those that it started and that ended.
    """

    pid: int
    parent: int
    group: int
    memory: int
    threads: int
    state: str
    seconds: float = 0.0
    ended_seconds: float = 0.0

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended, and its parent has not taken note."""
        return self.state in "ZX"


def descendants(pid: int, most: int = ENOUGH_PROCESSES) -> list[Process]:
    """Return a process and all that it started, directly or not, or `most` of them."""
    if not HAS_PROC:
        return _below(pid, list(_table_by_ps()))
    if not (PROC / str(os.getpid()) / "task" / str(os.getpid()) / "children").exists():
        return _below(pid, list(_table()))
    found: list[Process] = []
    waiting = [pid]
    while waiting and len(found) < most:
        process = _read(waiting.pop())
        if process is not None:
            found.append(process)
            waiting += _children(process.pid)
    return found


def are_running(processes: Iterable[Process]) -> bool:
    """Return whether any of them runs or waits for a processor; False where unknown."""
    if not HAS_PROC:
        return False
    return any(
        process.state == "R" or (process.threads > 1 and "R" in _states_of_threads(process.pid))
        for process in processes
    )


def in_use(processes: Iterable[Process]) -> int:
    """Return the memory that processes use together, in bytes; shared memory once if known."""
    total = 0
    for process in processes:
        try:
            text = (PROC / str(process.pid) / "smaps_rollup").read_text()
            total += int(text.split("\nPss:")[1].split()[0]) * 1024
        except (FileNotFoundError, ProcessLookupError, IndexError):
            if not SHOWS_SHARES:
                total += process.memory  # or else it has ended, and uses none
        except OSError:
            total += process.memory
    return total


def hidden_files(processes: Iterable[Process]) -> int:
    """Return the size in bytes of open files that have no name: deleted ones, and memfd's."""
    sizes = {}
    for process in processes:
        try:
            descriptors = list((PROC / str(process.pid) / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                info = descriptor.stat()
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_nlink == 0:
                sizes[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(sizes.values())


def end_all(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a process, all that it started and all that carries its mark; return when they ended.

    Args:
        process: Outermost process, the leader of a session and a process group.
        mark: an environment variable, `NAME=value`, that no process outside has.
    """
    deadline = time.monotonic() + KILL_SECONDS
    if process.poll() is None:
        # The child of the outermost process is the first of its namespace: with it all others end.
        _signal([each for each in descendants(process.pid) if each.parent == process.pid])
        _wait(process, 0.5)
    while process.poll() is None and time.monotonic() < deadline:
        below = [each for each in descendants(process.pid) if each.pid != process.pid]
        if any(not each.is_zombie for each in below):
            _signal(below, signal.SIGSTOP)  # or they fork faster than they are killed
            _signal(below)
            _wait(process, 0.02)
        else:
            process.kill()
            _wait(process, 0.2)
    while time.monotonic() < deadline:
        left = _left_behind(process.pid, mark)
        if not left:
            return
        _signal(left, signal.SIGSTOP)
        _signal(left)
        time.sleep(0.01)


def _left_behind(group: int, mark: str) -> list[Process]:
    """Return processes whose ancestors ended before them."""
    found = []
    for process in _table() if HAS_PROC else _table_by_ps():
        if process.is_zombie or process.pid == os.getpid():
            continue
        if process.group == group or (HAS_PROC and _is_marked(process.pid, mark)):
            found.append(process)
    return found


def _is_marked(pid: int, mark: str) -> bool:
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return mark.encode() in environment.split(b"\0")


def _signal(processes: Iterable[Process], which: signal.Signals = signal.SIGKILL) -> None:
    for process in processes:
        with suppress(OSError):  # it has ended
            os.kill(process.pid, which)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


# ---- the process table


def _read(pid: int) -> Process | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may contain anything
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        memory=int(fields[21]) * PAGE_BYTES,
        threads=int(fields[17]),
        state=fields[0],
        seconds=(int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND,
        ended_seconds=(int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND,
    )


def _states_of_threads(pid: int) -> Iterator[str]:
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
    except OSError:  # it has ended
        return
    for task in tasks:
        with suppress(OSError):
            yield (task / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]


def _children(pid: int) -> Iterator[int]:
    try:
        for task in (PROC / str(pid) / "task").iterdir():
            yield from map(int, (task / "children").read_text().split())
    except OSError:
        return


def _table() -> Iterator[Process]:
    for path in PROC.iterdir():
        if path.name.isdigit() and (process := _read(int(path.name))) is not None:
            yield process


def _table_by_ps() -> Iterator[Process]:
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,rss=,stat="]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in listing.stdout.splitlines():
        pid, parent, group, kib, state = line.split()[:5]
        yield Process(int(pid), int(parent), int(group), int(kib) * 1024, 1, state[0])


def _below(pid: int, table: list[Process]) -> list[Process]:
    found = [process for process in table if process.pid == pid]
    for process in found:
        found += [each for each in table if each.parent == process.pid and each.pid != pid]
    return found
