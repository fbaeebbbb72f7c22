"""One child process from its start to its end: its output drained, what it uses watched."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_lab.grading.isolation import files as files
from cifar_lab.grading.isolation import watch as watch
from cifar_lab.grading.isolation.bubblewrap import WORK, WRITABLE
from cifar_lab.grading.isolation.child import THREADS_PER_PROCESS
from cifar_lab.grading.isolation.clock import OwnTime

MIB = 2**20
CHUNK_BYTES = 64 * 1024
LOOK_SECONDS = 0.05 if watch.HAS_PROC else 1.0  # `ps` is slow
START_SECONDS = 5.0  # for a slow disk to give Python's files
REST = 4  # looking takes at most 1 / (1 + REST) of the time
SURPLUS = 3  # processes besides the student's: bubblewrap's, or those that enclose and clear up
MOST_GROWTHS = 4  # counts in a row, each of more processes, before memory is looked at anyway
DRAIN_CHUNKS = 64  # of what is left in a pipe after the end; it holds 1 MiB at most


@dataclass(frozen=True)
class Limits:
    """The limits at which a child is stopped.

    Attributes:
        wall_seconds: Seconds from the start of the driver to its end, without the time in which its
            processes wait for a processor that the machine uses for other work.
        cpu_seconds: Processor time of each of its processes.
        memory_mib: Memory of all its processes (shared memory counts once).
        file_mib: Size of each file, and of all that it writes to its work folder.
        processes: Number of processes at one time, with 4 times as many threads.
        output_kib: Length of the end of stdout, and of stderr, that is kept.
        answer_mib: Size of the answer with its arrays.
        patience: Number of times `wall_seconds` that it may take on the wall's clock, however busy
            the machine is; a run that is stopped by this is "starved".
    """

    wall_seconds: float = 300
    cpu_seconds: int = 600
    memory_mib: int = 6144
    file_mib: int = 256
    processes: int = 32
    output_kib: int = 1024
    answer_mib: int = 64
    patience: float = 10


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Ending:
    """The end of a child, and what it sent.

    Attributes:
        crossed: Limit for which it was stopped: "wall", "starved" (of processor time),
            "memory", "disk", "processes" or "answer"; None where it ended by itself.
        code: Exit code; 128 and the signal's number where a signal ended it.
        answer: Bytes that it sent.
        stdout: End of its output.
        stderr: End of its error output.
        own_seconds: Seconds that counted towards `Limits.wall_seconds`.
        passed_seconds: Seconds on the wall's clock.
    """

    crossed: str | None
    code: int
    answer: bytes
    stdout: bytes
    stderr: bytes
    own_seconds: float = 0.0
    passed_seconds: float = 0.0


class Tail:
    """The end of a stream, and how long the whole was."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.length = most_bytes, 0
        self._chunks: deque[bytes] = deque()
        self._kept = 0

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes and let go of what is too far from the end."""
        self.length += len(chunk)
        self._chunks.append(chunk)
        self._kept += len(chunk)
        while self._kept - len(self._chunks[0]) >= self.most_bytes:
            self._kept -= len(self._chunks.popleft())

    def content(self) -> bytes:
        """Return what is kept of the stream."""
        return b"".join(self._chunks)[-self.most_bytes :]


def supervise(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    token: bytes,
    mark: str,
    work: Path | None,
    limits: Limits,
) -> Ending:
    """Run a command within limits; whatever happens, nothing of it runs on afterwards.

    Args:
        command: Command, which gets the number of a descriptor to answer to as last argument.
        environment: Environment variables, among them the mark.
        token: Bytes that it reads from stdin.
        mark: Environment variable, `NAME=value`, by which its processes are known.
        work: Folder that it writes to; None where that is a mount of bubblewrap's.
        limits: Limits at which it is stopped.
    """
    answer, answer_end = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, str(answer_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd="/",
            pass_fds=[answer_end],
            start_new_session=True,
        )
    except BaseException:
        os.close(answer)
        raise
    finally:
        os.close(answer_end)
    assert process.stdin and process.stdout and process.stderr
    tails = {
        process.stdout.fileno(): Tail(limits.output_kib * 1024),
        process.stderr.fileno(): Tail(limits.output_kib * 1024),
        answer: Tail(limits.answer_mib * MIB + 1),
    }
    clock = OwnTime(LOOK_SECONDS)
    try:
        try:
            _tell(process, token)
            crossed = _attend(process, tails, answer, work, limits, clock)
        finally:
            watch.end_all(process, mark)
        for descriptor, tail in tails.items():
            for _ in range(DRAIN_CHUNKS):
                if not _read(descriptor, tail):
                    break
    finally:
        os.close(answer)
        process.stdout.close()
        process.stderr.close()
    stdout, stderr, sent = tails.values()
    if crossed is None and sent.length >= sent.most_bytes:
        crossed = "answer"
    code = process.returncode if process.returncode is not None else -9
    return Ending(
        crossed,
        code if code >= 0 else 128 - code,
        answer=sent.content(),
        stdout=stdout.content(),
        stderr=stderr.content(),
        own_seconds=clock.seconds,
        passed_seconds=clock.passed_seconds,
    )


def _tell(process: subprocess.Popen[bytes], token: bytes) -> None:
    assert process.stdin
    try:
        process.stdin.write(token)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already; its exit code will tell


def _attend(
    process: subprocess.Popen[bytes],
    tails: Mapping[int, Tail],
    answer: int,
    work: Path | None,
    limits: Limits,
    clock: OwnTime,
) -> str | None:
    """Read what a process writes until it ends or crosses a limit; which one."""
    next_count, next_look, pause = time.monotonic() + LOOK_SECONDS, 0.0, 0.002
    has_begun, known, growths = False, 1, 0
    with selectors.DefaultSelector() as selector:
        for descriptor in tails:
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ)
        while process.poll() is None:
            for key, _ in selector.select(pause):
                if _read(key.fd, tails[key.fd]) == b"":
                    selector.unregister(key.fd)
            pause = min(pause * 1.5, LOOK_SECONDS)
            if tails[answer].length >= tails[answer].most_bytes:
                return "answer"
            now = time.monotonic()
            if now < next_count:
                continue
            processes = watch.descendants(process.pid, SURPLUS + limits.processes + 1)
            if _too_many(processes, limits):
                return "processes"
            clock.look(processes)
            if tails[answer].length and not has_begun:  # its time begins, however slow the start
                clock.restart(processes)
                has_begun = True
            crossed = _of_time(clock, limits.wall_seconds, has_begun, limits.patience)
            growths = growths + 1 if len(processes) > known else 0
            known, next_count = len(processes), time.monotonic() + LOOK_SECONDS
            # Looking takes long where many processes start: first see whether that ends.
            if crossed is None and now >= next_look and growths % MOST_GROWTHS == 0:
                crossed = _look(processes, work, limits)
                next_look = time.monotonic() + min(REST * (time.monotonic() - now), 0.5)
            if crossed:
                return crossed
    return None


def _of_time(clock: OwnTime, allowed: float, has_begun: bool, patience: float) -> str | None:
    """Return which limit on its time the child crosses now, if any."""
    allowed += 0 if has_begun else START_SECONDS
    if clock.seconds >= allowed:
        return "wall"
    return "starved" if clock.passed_seconds >= allowed * max(1, patience) else None


def _read(descriptor: int, tail: Tail) -> bytes | None:
    """Return the next bytes of a stream; empty at its end, None where there are none yet."""
    try:
        chunk = os.read(descriptor, CHUNK_BYTES)
    except BlockingIOError:
        return None
    if chunk:
        tail.add(chunk)
    return chunk


def _too_many(processes: Sequence[watch.Process], limits: Limits) -> bool:
    """Return whether there are more processes, or threads, than may be."""
    threads = sum(process.threads for process in processes)
    return (
        len(processes) > limits.processes + SURPLUS
        or threads > limits.processes * THREADS_PER_PROCESS
    )


def _look(processes: Sequence[watch.Process], work: Path | None, limits: Limits) -> str | None:
    """Return which limit on memory and files the processes cross now, if any."""
    memory = limits.memory_mib * MIB
    resident = sum(process.memory for process in processes)
    if resident > memory and watch.in_use(processes) > memory:
        # A process that ends while it is measured leaves its share to the others: measure again.
        processes = watch.descendants(processes[0].pid, len(processes))
        if watch.in_use(processes) > memory:
            return "memory"
    written = [(watch.hidden_files(processes), 0)]
    if work is not None:
        written.append(files.usage(work))
    else:
        written += _mounted(processes)
    for size, count in written:
        if size > limits.file_mib * MIB or count > files.MOST_FILES:
            return "disk"
    return None


def _mounted(processes: Sequence[watch.Process]) -> list[tuple[int, int]]:
    """Return what the file systems inside hold, seen through a process that is there already."""
    for process in reversed(processes):
        root = watch.PROC / str(process.pid) / "root"
        if files.is_folder(root / str(WORK)[1:]):  # no such folder before it has moved in
            return [files.mounted_usage(root / str(each)[1:]) for each in WRITABLE]
    return []
