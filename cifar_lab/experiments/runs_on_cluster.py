"""Many runs on a Dask cluster: each worker does one in a process of its own."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cifar_lab.cluster.connection import WorkerFacts, connected, usable_workers
from cifar_lab.cluster.spreading import NoWorkersError, is_wanted, spread
from cifar_lab.experiments.run_process import (
    Event,
    Finished,
    Job,
    RunFailedError,
    run_in_process,
    thread_settings,
)
from cifar_lab.utils.wording import counted

LARGEST_RUN = 2**30  # bytes of a run's files that travel through the scheduler
LARGEST_CHECKPOINT = 2**28  # bytes; a larger one stays behind, as a finished run needs none


@dataclass(frozen=True)
class Mark:
    """A file in the folder of results, by which a worker knows whether it sees that folder."""

    path: str
    text: str

    def is_seen(self) -> bool:
        """Return whether this machine sees the file."""
        try:
            return Path(self.path).read_text(encoding="ascii") == self.text
        except OSError:
            return False


def run_on_cluster(
    jobs: Mapping[str, Job],
    scheduler: str,
    *,
    out: Path,
    on_event: Callable[[str, Event], object],
    on_result: Callable[[str, Finished], object],
    on_failure: Callable[[str, BaseException], object],
    on_lost: Callable[[str, str], object],
    say: Callable[[str], object],
) -> None:
    """Do runs on the workers of a Dask cluster.

    Args:
        jobs: The runs by name.
        scheduler: The scheduler's address.
        out: The folder of results, which workers write to themselves where they see it.
        on_event: Is called with a run's name and its events, in another thread.
        on_result: Is called with a run's name and what it has finished.
        on_failure: Is called with a run's name and its error.
        on_lost: Is called with the name of a run that is tried again, and the lost worker.
        say: Is called with lines on the workers.

    Raises:
        ImportError: `distributed` is not installed.
        ConnectionError: There is no scheduler, it has gone, or no worker can be used.
    """
    topic = f"cifar-lab-{secrets.token_hex(8)}"

    def hand_over(event: tuple[float, dict[str, Any]]) -> None:
        on_event(event[1]["name"], event[1])

    def refused(address: str, reason: str) -> None:
        say(f"The worker {address} is not used: {reason}.")

    with connected(scheduler) as client:
        usable, others = usable_workers(client)
        for address, reason in others.items():
            refused(address, reason)
        if not usable:
            raise NoWorkersError(_no_workers(scheduler, others))
        with _mark(out) as mark:
            seen = client.run(mark.is_seen, workers=list(usable))
            for line in _workers_in_words(usable, seen, out):
                say(line)
            client.subscribe_topic(topic, hand_over)
            spread(
                client,
                run_on_worker,
                {name: (job, name, topic, mark) for name, job in jobs.items()},
                workers=usable,
                refused=others,
                on_result=on_result,
                on_failure=on_failure,
                on_lost=on_lost,
                on_refused=refused,
            )


@contextmanager
def _mark(out: Path) -> Iterator[Mark]:
    """Put a file into the folder of results for the time of the block."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f".cifar-lab-{secrets.token_hex(8)}"
    mark = Mark(str(path), secrets.token_hex(8))
    path.write_text(mark.text, encoding="ascii")
    try:
        yield mark
    finally:
        path.unlink(missing_ok=True)


def _no_workers(scheduler: str, refused: Mapping[str, str]) -> str:
    if not refused:
        return f"The scheduler {scheduler} has no workers. Start some: dask worker {scheduler}"
    reasons = "\n".join(f"  {address}: {reason}" for address, reason in refused.items())
    return f"The scheduler {scheduler} has no worker that can be used:\n{reasons}"


def _workers_in_words(
    usable: Mapping[str, WorkerFacts], seen: Mapping[str, bool], out: Path
) -> list[str]:
    threads = sum(each.threads for each in usable.values())
    lines = [f"Workers: {len(usable)}, with room for {counted(threads, 'run')} at a time."]
    apart = [each.host for address, each in usable.items() if not seen.get(address)]
    if apart:
        hosts = ", ".join(sorted(set(apart)))
        lines.append(
            f"Not shared with {hosts}: {out}. Results from there travel as bytes when a run ends; "
            "a run that loses its worker there starts again."
        )
    others = {each.processor for each in usable.values() if not each.same_processor}
    if others:
        lines.append(
            f"Other processors than here: {', '.join(sorted(others))}. Results from there can "
            "differ in the last bits, as between any two kinds of machine."
        )
    return lines


def run_on_worker(job: Job, name: str, topic: str, mark: Mark) -> Finished:
    """Do a run on a worker, in a process of its own.

    A second attempt resumes what a first one, whose worker died, left in the shared folder.
    """
    from distributed import get_worker

    worker = get_worker()

    def send(event: Event) -> None:
        worker.log_event(topic, {**event, "name": name})

    def run_in(out: str, *, resume: bool) -> Finished:
        root = job.root if job.root is not None and Path(job.root).is_dir() else None
        return run_in_process(
            replace(job, out=out, resume=resume, root=root),
            environment=thread_settings(worker.state.nthreads),
            on_event=send,
            is_wanted=is_wanted,
        )

    if mark.is_seen():
        # The client has seen that there is no run yet: one that is there is of a first attempt.
        return run_in(job.out, resume=not job.again)
    scratch = tempfile.mkdtemp(prefix="run-", dir=worker.local_directory)
    try:
        finished = run_in(scratch, resume=False)
        return replace(finished, files=_files(Path(finished.folder)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _files(folder: Path) -> dict[str, bytes]:
    """Return the contents of a run's files.

    Raises:
        RunFailedError: They are too large to travel.
    """
    sizes = {path: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    kept = {
        path: size
        for path, size in sizes.items()
        if not (path.name == "checkpoint.pt" and size > LARGEST_CHECKPOINT)
    }
    if sum(kept.values()) > LARGEST_RUN:
        raise RunFailedError(
            f"The run's files have {sum(kept.values()) / 2**30:.1f} GiB; at most 1 GiB travels "
            "through the scheduler. Give --out on a folder that the workers share."
        )
    return {path.name: path.read_bytes() for path in kept}
