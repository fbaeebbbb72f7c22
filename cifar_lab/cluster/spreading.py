"""Independent tasks spread over the workers of a Dask cluster; a lost worker's are tried again."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cifar_lab.cluster.connection import TIMEOUTS, usable_workers, worker_threads

if TYPE_CHECKING:
    from distributed import Client, Future

LOOK = 1.0  # seconds between two looks at the list of workers
PATIENCE = 60.0  # seconds without any usable worker until that is an error


class SchedulerLostError(ConnectionError):
    """An error for a scheduler that has gone in the middle of the work."""


class NoWorkersError(ConnectionError):
    """An error for a cluster without a worker that can take part."""


class WorkerLostError(RuntimeError):
    """An error for a task whose workers died, as often as it was tried."""


def spread(
    client: Client,
    function: Callable[..., Any],
    tasks: Mapping[str, tuple[Any, ...]],
    *,
    workers: Collection[str],
    refused: Collection[str] = (),
    attempts: int = 3,
    on_result: Callable[[str, Any], object],
    on_failure: Callable[[str, BaseException], object],
    on_lost: Callable[[str, str], object] | None = None,
    refuse: Callable[[], str | None] | None = None,
    on_refused: Callable[[str, str], object] | None = None,
    patience: float = PATIENCE,
) -> None:
    """Run a function once for each task, each on one worker, and hand the results over.

    A worker does as many tasks at a time as it has threads. A task whose worker dies is tried
    again, alone on a worker, as it may be the cause. Workers that join are checked and used.

    Args:
        client: The connection.
        function: The function, importable on the workers. In long ones, `is_wanted` tells whether
            anyone still waits for the result.
        tasks: The function's arguments by the task's name; asked for when a task is sent.
        workers: The addresses of the workers to use, as `usable_workers` returns them.
        refused: The addresses of the workers that it refused, which are not asked again.
        attempts: The number of workers that a task may lose.
        on_result: Is called with a task's name and result as soon as that is there.
        on_failure: Is called with the name and the error of a task that failed: an exception of
            the function, which is final, or WorkerLostError.
        on_lost: Is called with the name of a task that is tried again and the lost worker.
        refuse: A further question to workers that join, as in `usable_workers`.
        on_refused: Is called with the address of a joining worker that is not used, and the reason.
        patience: The seconds without any usable worker until that is an error.

    Raises:
        SchedulerLostError: The scheduler has gone. Results that came before were handed over.
        NoWorkersError: No usable worker is left, and none joins.
    """
    work = _Work(client, function, tasks, attempts, on_result, on_failure, on_lost)
    known = {*workers, *refused}
    last_seen = next_look = time.monotonic()
    try:
        while work.is_unfinished:
            if time.monotonic() >= next_look:
                present = _present(client)
                work.keep(present)
                new = set(present) - known
                if new:
                    known |= new
                    usable, refused = usable_workers(client, refuse=refuse, among=new)
                    work.add(usable, present)
                    if on_refused is not None:
                        for address, reason in refused.items():
                            on_refused(address, reason)
                work.add(known.intersection(workers), present)
                last_seen = time.monotonic() if work.workers else last_seen
                next_look = time.monotonic() + LOOK
                if time.monotonic() - last_seen > patience:
                    raise NoWorkersError(
                        f"No usable worker has been there for {patience:.0f} seconds. Start some, "
                        "then give the same command: finished work is kept."
                    )
            work.submit()
            work.take_ended(max(0.0, next_look - time.monotonic()))
            if client.status != "running":
                raise SchedulerLostError(_LOST)
    finally:
        work.cancel()


_LOST = (
    "The Dask scheduler has gone. Finished work is kept: start the scheduler and the workers "
    "again, then give the same command."
)


def is_wanted() -> bool:
    """Return whether anyone still waits for the task that runs in this thread of a Dask worker.

    False after the client has gone or was interrupted, and while the worker or its scheduler ends.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    task = worker.state.tasks.get(key)
    running = str(worker.status.name) in ("running", "paused")
    return running and task is not None and task.state == "executing"


def _present(client: Client) -> dict[str, int]:
    """Return the threads of each worker that is there."""
    try:
        return worker_threads(client)
    except (OSError, *TIMEOUTS) as error:
        raise SchedulerLostError(_LOST) from error


@dataclass
class _Running:
    """A task on a worker."""

    name: str
    worker: str
    threads: int  # of the worker's threads, kept for it
    future: Future


@dataclass
class _Work:
    """The tasks that wait and those that run."""

    client: Client
    function: Callable[..., Any]
    tasks: Mapping[str, tuple[Any, ...]]
    attempts: int
    on_result: Callable[[str, Any], object]
    on_failure: Callable[[str, BaseException], object]
    on_lost: Callable[[str, str], object] | None
    waiting: deque[str] = field(default_factory=deque)
    again: deque[str] = field(default_factory=deque)
    losses: dict[str, int] = field(default_factory=dict)
    running: dict[str, _Running] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=dict)
    ended: queue.Queue[str] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.waiting.extend(self.tasks)

    @property
    def is_unfinished(self) -> bool:
        return bool(self.waiting or self.again or self.running)

    @property
    def workers(self) -> set[str]:
        return set(self.threads)

    def add(self, addresses: Collection[str], present: Mapping[str, int]) -> None:
        """Use these workers from now on, as far as they are there."""
        for address in set(addresses).intersection(present) - self.workers:
            self.threads[address] = self.free[address] = max(1, present[address])

    def keep(self, present: Mapping[str, int]) -> None:
        """Forget the workers that have gone, and put their tasks back."""
        for address in self.workers - set(present):
            del self.threads[address], self.free[address]
        for each in [one for one in self.running.values() if one.worker not in self.threads]:
            if each.future.status == "finished":  # its result may be at the scheduler already
                continue
            self._lost(each)

    def submit(self) -> None:
        """Give every free thread a task; one that lost its worker gets a whole worker."""
        while self.again or self.waiting:
            idle = [one for one, free in self.free.items() if free == self.threads[one]]
            if self.again and idle:
                self._start(self.again.popleft(), idle[0], self.threads[idle[0]])
                continue
            freest = max(self.free, key=self.free.__getitem__, default=None)
            if not self.waiting or freest is None or not self.free[freest]:
                return
            self._start(self.waiting.popleft(), freest, 1)

    def _start(self, name: str, worker: str, threads: int) -> None:
        self.free[worker] -= threads
        future = self.client.submit(
            self.function,
            *self.tasks[name],
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self.running[name] = _Running(name, worker, threads, future)
        future.add_done_callback(lambda _: self.ended.put(name))

    def take_ended(self, seconds: float) -> None:
        """Wait for an end, and take all that have ended."""
        try:
            names = [self.ended.get(timeout=seconds)]
            while not self.ended.empty():
                names.append(self.ended.get())
        except queue.Empty:
            return
        for name in dict.fromkeys(names):
            running = self.running.get(name)
            if running is not None and running.future.done():
                self._take(running)

    def _take(self, each: _Running) -> None:
        from distributed import KilledWorker

        try:
            result = each.future.result(timeout=30)
        except (OSError, *TIMEOUTS) as error:
            if each.future.status == "error":  # of the function, not of fetching its result
                self._leave(each)
                self.on_failure(each.name, error)
            elif each.worker in _present(self.client):
                self.ended.put(each.name)  # a large result on a slow network
            else:
                self._lost(each)
        except KilledWorker:
            self._lost(each)
        except Exception as error:
            if each.future.status != "cancelled":
                self._leave(each)
                self.on_failure(each.name, error)
            elif self.client.status == "running":
                self._lost(each)
        else:
            self._leave(each)
            self.on_result(each.name, result)

    def _leave(self, each: _Running) -> None:
        del self.running[each.name]
        if each.worker in self.free:
            self.free[each.worker] += each.threads

    def _lost(self, each: _Running) -> None:
        """Put a task back whose worker has gone, or give it up."""
        self._leave(each)
        each.future.cancel()
        self.losses[each.name] = self.losses.get(each.name, 0) + 1
        if self.losses[each.name] < self.attempts:
            self.again.append(each.name)
            if self.on_lost is not None:
                self.on_lost(each.name, each.worker)
        else:
            self.on_failure(
                each.name,
                WorkerLostError(
                    f"Its worker died, {self.attempts} times in all (the last: {each.worker}). It "
                    "may need more memory than a worker has: see the workers' own output."
                ),
            )

    def cancel(self) -> None:
        """Cancel what waits or runs."""
        if self.running and self.client.status == "running":
            self.client.cancel([each.future for each in self.running.values()], force=True)
