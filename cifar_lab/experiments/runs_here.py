"""Several runs side by side on this machine, each in a process of its own."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from cifar_lab.experiments.run_process import Event, Finished, Job, run_in_process, thread_settings


def run_here(
    jobs: Mapping[str, Job],
    side_by_side: int,
    *,
    on_event: Callable[[str, Event], object],
    on_result: Callable[[str, Finished], object],
    on_failure: Callable[[str, BaseException], object],
) -> None:
    """Do runs on this machine, some at a time, with an equal share of the cores each.

    Args:
        jobs: The runs by name.
        side_by_side: The number of runs at a time.
        on_event: Is called with a run's name and its events, in several threads.
        on_result: Is called with a run's name and what it has finished.
        on_failure: Is called with a run's name and its error.
    """
    stop = threading.Event()
    side_by_side = min(side_by_side, len(jobs))
    slots: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for number in range(side_by_side):
        slots.put({**thread_settings(side_by_side), **_gpu_setting(number, jobs)})

    def one(name: str, job: Job) -> Finished:
        environment = slots.get()
        try:
            return run_in_process(
                job,
                environment=environment,
                on_event=lambda event: on_event(name, event),
                is_wanted=lambda: not stop.is_set(),
            )
        finally:
            slots.put(environment)

    with ThreadPoolExecutor(side_by_side) as pool:
        names = {pool.submit(one, name, job): name for name, job in jobs.items()}
        try:
            for future in as_completed(names):
                error = future.exception()
                if error is None:
                    on_result(names[future], future.result())
                else:
                    on_failure(names[future], error)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _gpu_setting(number: int, jobs: Mapping[str, Job]) -> dict[str, str]:
    """Return the setting that shows a slot one of several GPUs; none where a job names its own."""
    if any(job.device not in (None, "cuda") for job in jobs.values()):
        return {}
    gpus = visible_gpus()
    return {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if len(gpus) > 1 else {}


def visible_gpus() -> Sequence[str]:
    """Return the CUDA devices that this process sees, by the names that CUDA knows them by."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    names = named.split(",") if named else [str(number) for number in range(count)]
    return names[:count]
