"""A run in a process of its own: the same on this machine and on a worker of a cluster.

It imports no PyTorch: on a worker, only the run's process needs that.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from cifar_lab.utils.cores import available_cores

GRACE = 15.0  # seconds that an interrupted run gets to end by itself
LOOK = 0.5  # seconds between two looks whether the run is still wanted
LONGEST_TRACE = 6_000  # characters

Event = dict[str, Any]


class RunFailedError(RuntimeError):
    """An error for a run that ended without a result; the message is that of its process."""


class UnwantedRunError(RuntimeError):
    """An error for a run that was interrupted because it is not wanted any more."""


@dataclass(frozen=True)
class Job:
    """A run, as its process gets it.

    Attributes:
        name: The experiment's name.
        seed: The seed.
        experiment: The experiment, pickled.
        out: The folder of results.
        resume: As `run` takes it.
        again: As `run` takes it.
        backup: As `run` takes it.
        device: As `run` takes it.
        root: The folder of the datasets; None for the usual one.
    """

    name: str
    seed: int
    experiment: bytes
    out: str
    resume: bool = False
    again: bool = False
    backup: str | None = None
    device: str | None = None
    root: str | None = None

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    def to_line(self) -> bytes:
        """Return the job as one line of JSON."""
        fields = {**vars(self), "experiment": base64.b64encode(self.experiment).decode()}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Job:
        """Return the job of a line."""
        job = cls(**json.loads(line))
        return replace(job, experiment=base64.b64decode(job.experiment))


@dataclass(frozen=True)
class Finished:
    """A finished run, as its process tells it.

    Attributes:
        folder: The folder of its result, where it was done.
        accuracy: The test accuracy in percent.
        seconds: The seconds of training.
        views: The test accuracies with several views, as in a `Result`.
        files: The contents of its files by name, if the folder of results is not seen there.
    """

    folder: str
    accuracy: float
    seconds: float
    views: Mapping[str, float]
    files: Mapping[str, bytes] | None = None


def thread_settings(jobs: int) -> dict[str, str]:
    """Return the environment that gives each of several jobs its share of the cores."""
    if os.environ.get("OMP_NUM_THREADS"):
        return {}
    return {"OMP_NUM_THREADS": str(max(1, int(available_cores() / jobs)))}


def run_in_process(
    job: Job,
    *,
    environment: Mapping[str, str],
    on_event: Callable[[Event], object],
    is_wanted: Callable[[], bool],
) -> Finished:
    """Do a run in a new process.

    The process ends with this one, also if this one is killed: it reads a pipe that closes then.

    Args:
        job: The run.
        environment: Variables that the process gets beside those of this one.
        on_event: Is called with each event, such as {"event": "epoch", "epoch": 1, ...}.
        is_wanted: Is asked twice a second whether the run shall go on; if not, it is interrupted.

    Raises:
        RunFailedError: It ended without a result.
        UnwantedRunError: It was interrupted, as it is not wanted any more.
    """
    with tempfile.TemporaryFile() as output:
        process = _start(environment, output)
        assert process.stdin is not None and process.stdout is not None
        try:
            events: queue.Queue[Event | None] = queue.Queue()
            reader = threading.Thread(target=_read, args=(process.stdout, events), daemon=True)
            reader.start()
            finished, error = _follow(job, process, events, on_event, is_wanted)
        finally:
            _end(process)
        if finished is None:
            raise RunFailedError(error or _last_words(process.returncode, output))
        return finished


def _start(environment: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    modules = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    own = {"PYTHONPATH": modules, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "cifar_lab.experiments.one_run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        env={**os.environ, **own, **environment},
    )


def _read(stream: IO[bytes], events: queue.Queue[Event | None]) -> None:
    for line in stream:
        events.put(json.loads(line))
    events.put(None)


def _follow(
    job: Job,
    process: subprocess.Popen[bytes],
    events: queue.Queue[Event | None],
    on_event: Callable[[Event], object],
    is_wanted: Callable[[], bool],
) -> tuple[Finished | None, str]:
    """Hand the events over until the process ends; return what it has finished, or the error."""
    assert process.stdin is not None
    finished, error = None, ""
    try:
        process.stdin.write(job.to_line())
        process.stdin.flush()
    except BrokenPipeError:  # it ended at once: its last words say why
        return None, ""
    while True:
        if not is_wanted():
            raise UnwantedRunError
        try:
            event = events.get(timeout=LOOK)
        except queue.Empty:
            continue
        if event is None:
            return finished, error
        if event["event"] == "done":
            facts = ("folder", "accuracy", "seconds", "views")
            finished = Finished(*(event[name] for name in facts))
        elif event["event"] == "error":
            error = event["text"]
        else:
            on_event(event)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe that keeps the process alive, wait for its end, and kill it at last."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(timeout=GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(status: int, output: IO[bytes]) -> str:
    output.seek(0)
    words = output.read().decode(errors="replace").strip()[-LONGEST_TRACE:]
    if status < 0:
        why = f"Its process was killed by signal {-status}"
        why += " (too little memory?)" if status == -9 else ""
    else:
        why = f"Its process ended with status {status}"
    return f"{why}.\n{words}".rstrip()
