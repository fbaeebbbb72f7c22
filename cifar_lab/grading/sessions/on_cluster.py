"""A class spread over the workers of a Dask cluster; its results are written here.

Submissions travel as bytes and come back as grades. Each is tried on two workers at most: one that
ends its worker's process is reported, like everything at which the grader itself fails.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from cifar_lab.cluster.connection import connected, usable_workers
from cifar_lab.cluster.spreading import NoWorkersError, spread
from cifar_lab.grading.machine import FINE, LACKING, Finding
from cifar_lab.grading.reports import summary
from cifar_lab.grading.reports.readable import shown_name
from cifar_lab.grading.sessions.class_list import ClassList
from cifar_lab.grading.sessions.fingerprint import environment
from cifar_lab.grading.sessions.keeping import forget, keep, keep_error, kept_grade
from cifar_lab.grading.sessions.on_worker import (
    SentSettings,
    grade_packed,
    look_at_worker,
    reason_to_refuse,
)
from cifar_lab.grading.sessions.packing import PackingError, packed, refuse_unpackable
from cifar_lab.grading.sessions.running import Progress
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import Grade
from cifar_lab.utils.console import say
from cifar_lab.utils.wording import counted

ATTEMPTS = 2  # workers that a submission may end
HERE = "Grade it on this machine: the same command with --only and its name, without --scheduler"


def run_on_cluster(
    class_: ClassList, settings: Settings, out: Path, scheduler: str, progress: Progress
) -> None:
    """Grade a list of submissions on the workers of a cluster.

    Args:
        class_: Submissions.
        settings: Settings that they are checked with.
        out: Folder of the results, which exists.
        scheduler: Address of the Dask scheduler.
        progress: Is told of each submission.

    Raises:
        ImportError: `distributed` is missing.
        ConnectionError: No scheduler answers, or it has gone; no worker can grade.
    """
    waiting = _without_grade(class_, settings, out, progress)
    if not waiting:
        return
    sent = SentSettings.of(settings)
    tasks = _Packed(
        {str(number): class_.folders[name] for number, name in enumerate(waiting)}, sent
    )
    results = _Results(waiting, out, progress)
    question = partial(reason_to_refuse, environment(settings), sent)
    with connected(scheduler) as client, _large_tasks():
        usable, refused = usable_workers(client, refuse=question)
        for address, reason in refused.items():
            _tell_refused(address, reason)
        if refused and not usable:
            raise NoWorkersError(f"No worker of {scheduler} can grade this class; see above.")
        at_once = sum(worker.threads for worker in usable.values())
        say(f"{counted(len(usable), 'worker')}, {counted(at_once, 'submission')} at a time.")
        if not usable:
            say(f"Waiting for workers; to start one: dask worker {scheduler}")
        spread(
            client,
            grade_packed,
            tasks,
            workers=usable,
            refused=refused,
            attempts=ATTEMPTS,
            on_result=results.take,
            on_failure=results.fail,
            on_lost=results.tell_lost,
            refuse=question,
            on_refused=_tell_refused,
        )


def _without_grade(
    class_: ClassList, settings: Settings, out: Path, progress: Progress
) -> list[str]:
    """Return the names of those that are to be sent, and tell about the others."""
    waiting = []
    for name, folder in class_.folders.items():
        kept = None if class_.again else kept_grade(out / name, folder, settings)
        if kept is not None:
            progress.tell(name, kept)
            continue
        try:
            refuse_unpackable(folder)
        except PackingError as error:
            reason = f"NOT SENT, since {error}. {HERE}"
            keep_error(reason, out / name)
            progress.tell_failure(name, reason, reason)
        else:
            waiting.append(name)
    return waiting


class _Packed(Mapping[str, "tuple[bytes, SentSettings]"]):
    """The arguments for each submission, packed when it is sent: a class may not fit in memory."""

    def __init__(self, folders: Mapping[str, Path], sent: SentSettings) -> None:
        self._folders, self._sent = folders, sent

    def __getitem__(self, key: str) -> tuple[bytes, SentSettings]:
        return packed(self._folders[key]), self._sent

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)


class _Results:
    """Results as they come back, by the number of the submission: its name stays here.

    Args:
        names: Names of the submissions that were sent.
        out: Folder of the class's results.
        progress: Is told of each submission.
    """

    def __init__(self, names: Sequence[str], out: Path, progress: Progress) -> None:
        self.names, self.out, self.progress = names, out, progress

    def take(self, key: str, answer: str) -> None:
        """Write what a worker answered."""
        name, content = self.names[int(key)], json.loads(answer)
        if "error" in content:
            self._fail(name, content["error"])
            return
        try:
            grade = replace(Grade.from_dict(content["grade"]), submission=name)
            keep(grade, self.out / name)
        except OSError:
            self._fail(name, traceback.format_exc())
        else:
            self.progress.tell(name, summary(grade))

    def fail(self, key: str, error: BaseException) -> None:
        """Write why a submission has no grade."""
        self._fail(self.names[int(key)], str(error))

    def _fail(self, name: str, error: str) -> None:
        with suppress(OSError):
            forget(self.out / name)
        keep_error(error, self.out / name)
        self.progress.tell_failure(name, error)

    def tell_lost(self, key: str, address: str) -> None:
        """Say that a worker has gone."""
        name = shown_name(self.names[int(key)])
        say(f"The worker {address} has gone. {name} is tried once more.")


def _tell_refused(address: str, reason: str) -> None:
    say(f"The worker {address} is not used: {reason}.")


@contextmanager
def _large_tasks() -> Iterator[None]:
    """Keep Dask from warning of tasks that carry megabytes: a submission does."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"}):
        yield


def workers_report(settings: Settings, scheduler: str) -> list[Finding]:
    """Return what each worker of a cluster has and lacks for a class; nobody's work is run.

    Raises:
        ImportError: `distributed` is missing.
        ConnectionError: No scheduler answers.
    """
    sent = SentSettings.of(settings)
    with connected(scheduler) as client:
        question = partial(reason_to_refuse, environment(settings), sent)
        usable, refused = usable_workers(client, refuse=question)
        looks = {
            address: client.submit(
                look_at_worker, sent.settings, worker.threads, workers=[address], pure=False
            )
            for address, worker in usable.items()
        }
        findings = [Finding(f"Worker {one}", LACKING, why) for one, why in refused.items()]
        for address, look in looks.items():
            worker = usable[address]
            seen = f"{worker.host}, {counted(worker.threads, 'submission')} at a time"
            findings.append(Finding(f"Worker {address}", FINE, seen))
            findings += [replace(one, subject=f"  {one.subject}") for one in look.result()]
    if not findings:
        findings = [Finding("Workers", LACKING, "none", f"Start some: dask worker {scheduler}")]
    return findings
