"""A real Dask scheduler and real workers on loopback, each a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class Cluster:
    """A scheduler and its workers.

    Args:
        folder: A folder for the scheduler's file, the logs and the workers' scratch files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = ""
        folder.mkdir(parents=True, exist_ok=True)

    def start_scheduler(self, port: int = 0) -> subprocess.Popen[bytes]:
        """Start the scheduler, and wait until it listens."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        words = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        scheduler = self._start("scheduler", *words, "--scheduler-file", str(file))
        deadline = time.monotonic() + 60
        while not self.address or not file.exists():
            assert scheduler.poll() is None and time.monotonic() < deadline, self.log("scheduler")
            try:
                self.address = json.loads(file.read_text())["address"]
            except (OSError, ValueError):
                time.sleep(0.05)  # the file is all there is to look at
        return scheduler

    def start_worker(
        self,
        name: str,
        *,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
        before: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny, so that killing it is final; `wait_for` waits for it."""
        words = ["--name", name, "--nthreads", str(threads), "--no-nanny", "--no-dashboard"]
        words += ["--host", "127.0.0.1", "--local-directory", str(self.folder / "scratch")]
        return self._start(
            "worker", self.address, *words, log=name, environment=environment, before=before
        )

    def wait_for(self, workers: int) -> None:
        """Wait until there are so many workers."""
        from distributed import Client

        with Client(self.address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def log(self, name: str) -> str:
        """Return the output of a process."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _start(
        self,
        command: str,
        *words: str,
        log: str | None = None,
        environment: Mapping[str, str] | None = None,
        before: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        given = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__WORKER__DAEMON": "false"}
        with (self.folder / f"{log or command}.log").open("ab") as output:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", "dask", command, *words],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **given, **(environment or {})},
                cwd=self.folder,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def close(self) -> None:
        """End every process, workers first."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=30)


@contextmanager
def cluster(folder: Path, workers: int = 2, threads: int = 1) -> Iterator[Cluster]:
    """Start a scheduler and workers for the time of the block."""
    made = Cluster(folder)
    try:
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker-{number}", threads=threads)
        if workers:
            made.wait_for(workers)
        yield made
    finally:
        made.close()
