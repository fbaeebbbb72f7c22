"""A folder for copies, such as one on Google Drive: it may be full, vanish, or never answer."""

from __future__ import annotations

import errno
import functools
import math
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cifar_lab.utils.console import echo, say
from cifar_lab.utils.files import flush_to_disk, user_path

LIMIT_SECONDS = 60.0  # after which the folder counts as not answering
NOTICE_SECONDS = 5.0  # after which there is a line that says what is waited for
PAUSE_SECONDS = 30.0  # between copies of the same files, which on Drive go through the network
PREVIOUS = ".previous"  # is added to the name of the copy before
PART = ".part"  # is added to the name of a copy that is being written

T = TypeVar("T")


class Backup:
    """A folder for copies, which only one thread touches, one operation at a time.

    A run hands over what is to be copied and trains on. A failed copy is tried again with the next
    one; a folder that doesn't answer keeps nothing but its own thread waiting.

    Args:
        folder: The folder. It is never made: where a drive was unmounted, its copies would go to
            the local disk, and the drive couldn't be mounted there again.

    Attributes:
        folder: The folder.
        has_answered: Whether it could be read once since this process began.
        jobs_done: The number of jobs that went well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.has_answered = False
        self.jobs_done = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._questions: list[_Question] = []
        self._jobs: dict[Hashable, Callable[[], object]] = {}
        self._failed: dict[Hashable, Callable[[], object]] = {}
        self._error: Exception | None = None  # of the last job
        self._ended: dict[Hashable, float] = {}  # when a job of each key ended
        self._began: float | None = None  # when the present operation began
        self._in_a_hurry = False

    def require(self) -> None:
        """Raise where the folder is not there.

        Raises:
            FileNotFoundError: There is no such folder.
            OSError: It can't be read.
        """
        with suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISDIR(os.stat(self.folder).st_mode):  # noqa: PTH116 (is_dir hides errors)
                return
        raise FileNotFoundError(
            f"There is no folder {self.folder} for backups. Make it, or mount the drive first."
        )

    def ask(self, work: Callable[[], T]) -> T:
        """Return what a function returns that reads in the folder.

        Raises:
            TimeoutError: There was no answer.
            Exception: The function's own error.
        """
        question = _Question(work)
        with self._changed:
            self._questions.append(question)
            self._start()
            self._changed.notify_all()
            if not self._wait(lambda: question.is_done):
                with suppress(ValueError):
                    self._questions.remove(question)
                raise TimeoutError(errno.ETIMEDOUT, _no_answer(LIMIT_SECONDS), str(self.folder))
        if question.error is not None:
            raise question.error
        self.has_answered = True
        self._error = None  # what has failed is tried again with the next job
        return question.answer

    def later(self, key: Hashable, job: Callable[[], object], *, at_once: bool = False) -> None:
        """Let a function that writes into the folder run soon, with those that have failed.

        Args:
            key: Names the job, which takes the place of one of the same name.
            job: The function, which raises where something could not be written.
            at_once: Whether it needs no pause after the last one of the same name.
        """
        with self._changed:
            if at_once:
                self._ended.pop(key, None)
            self._jobs = {**self._failed, **self._jobs, key: job}
            self._failed = {}
            self._start()
            self._changed.notify_all()

    def finish(self) -> bool:
        """Wait until all jobs are done or have failed; return whether that was in time."""
        with self._changed:
            self._jobs = {**self._failed, **self._jobs}
            self._failed = {}
            if self._jobs:
                self._start()
            self._in_a_hurry = True
            self._changed.notify_all()
            try:
                return self._wait(lambda: not self._jobs and self._began is None)
            finally:
                self._in_a_hurry = False

    def trouble(self) -> str:
        """Return in a few words why copies are missing; "" where the last operations went well."""
        with self._changed:
            if self._began is not None and time.monotonic() - self._began >= LIMIT_SECONDS:
                return _no_answer(time.monotonic() - self._began)
            return "" if self._error is None else reason(self._error)

    def _wait(self, is_done: Callable[[], bool]) -> bool:
        """Wait for what is done in the thread, not longer than the limit."""
        began = time.monotonic()
        noticed = False
        while not is_done():
            now = time.monotonic()
            stuck = math.inf if self._began is None else self._began + LIMIT_SECONDS
            left = min(began + LIMIT_SECONDS, stuck) - now
            if left <= 0:
                return False
            if not noticed and now >= began + NOTICE_SECONDS:
                noticed = True
                say(f"Waiting for {self.folder}, at most {left:.0f} more seconds.")
            self._changed.wait(left if noticed else min(left, began + NOTICE_SECONDS - now))
        return True

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            # A daemon: Python must be able to end while a drive does not answer.
            self._thread = threading.Thread(target=self._work, name="backup", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                key, work = self._next()
                if work is None:
                    self._thread = None
                    self._changed.notify_all()
                    return
                self._began = time.monotonic()
            answer, error = None, None
            try:
                answer = work()
            except Exception as caught:  # whatever it is, the run goes on
                error = caught
            with self._changed:
                self._began = None
                if isinstance(work, _Question):
                    work.is_done, work.answer, work.error = True, answer, error
                else:
                    self._ended[key] = time.monotonic()
                    self._error = error
                    self.jobs_done += error is None
                    if error is not None:  # the others would fail too: later, all together
                        self._failed = {**self._failed, key: work, **self._jobs}
                        self._jobs = {}
                self._changed.notify_all()

    def _next(self) -> tuple[Hashable, Callable[[], Any] | None]:
        """Return the next operation, when its time has come, and its key; None where all is done.

        A job whose key was done a short time ago waits, unless somebody waits for it.
        """
        while self._questions or self._jobs:
            if self._questions:
                return None, self._questions.pop(0)
            now = time.monotonic()
            due = {key: self._ended.get(key, -math.inf) + PAUSE_SECONDS for key in self._jobs}
            for key, moment in due.items():
                if self._in_a_hurry or moment <= now:
                    return key, self._jobs.pop(key)
            self._changed.wait(min(due.values()) - now)
        return None, None


class _Question:
    """A function whose result somebody waits for."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.is_done = False
        self.answer: Any = None
        self.error: Exception | None = None

    def __call__(self) -> Any:
        return self._work()


class Copies:
    """The copies of one run, or of one comparison; says once when they fail, and when it is over.

    Args:
        backup: The folder that they go to.
        origin: The folder of the files, for the messages.

    Attributes:
        backup: As given.
        origin: As given.
    """

    def __init__(self, backup: Backup, origin: Path) -> None:
        self.backup = backup
        self.origin = origin
        self._has_failed = False
        self._done_before = 0  # it failed

    def ask(self, work: Callable[[], T], otherwise: T) -> T:
        """Return what a function finds in the backup, or something else where that fails.

        Raises:
            OSError: It fails, and so did all before: then the folder or the mounting is wrong.
        """
        try:
            return self.backup.ask(lambda: _checked(self.backup, work))
        except OSError as error:
            if self.backup.has_answered:
                self._say_failed(reason(error))
                return otherwise
            if error.errno is None:  # one of `require`
                raise
            raise OSError(
                f"The folder {self.backup.folder} for backups can't be used: {reason(error)}. "
                "Mount the drive again, or leave the backup out."
            ) from error

    def later(self, key: Hashable, job: Callable[[], object], *, at_once: bool = False) -> None:
        """Let a job run soon, see `Backup.later`; say what has become of those before."""
        self.report()
        self.backup.later(key, job, at_once=at_once)

    def finish(self) -> None:
        """Wait for the copies; say where they could not be completed."""
        is_complete = self.backup.finish()
        self.report()
        if not is_complete:
            self._say_failed(f"not done after {LIMIT_SECONDS:.0f} seconds")

    def report(self) -> None:
        """Say when copying has begun to fail, and when it works again."""
        trouble = self.backup.trouble()
        if trouble:
            self._say_failed(trouble)
        elif self._has_failed and self.backup.jobs_done > self._done_before:
            self._has_failed = False
            say(f"Copying to {self.backup.folder} works again.")

    def _say_failed(self, why: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._done_before = self.backup.jobs_done
            echo(
                f"Could not copy to {self.backup.folder}: {why}. That does not stop the run, whose "
                f"files are in {self.origin}; the copies follow when it works again.\n",
                sys.stderr,
            )


def _checked(backup: Backup, work: Callable[[], T]) -> T:
    backup.require()
    return work()


@functools.cache
def _backup_at(folder: Path) -> Backup:
    return Backup(folder)


def backup_at(folder: str | Path) -> Backup:
    """Return the backup in a folder: the same one for all runs of this process."""
    return _backup_at(user_path(folder).absolute())


def reason(error: Exception) -> str:
    """Return what an error says, without its number and the file."""
    return getattr(error, "strerror", None) or str(error).rstrip(".") or type(error).__name__


def _no_answer(seconds: float) -> str:
    return f"no answer for {seconds:.0f} seconds"


def put(source: Path, target: Path, backup: Backup) -> None:
    """Copy a file; at every moment `target` or the copy before it, `target.previous`, is whole.

    Where the source is gone, nothing is copied. A drive may carry out later, and in another order,
    what is done here, and loses the rest when the machine is taken away; so the copy before stays.

    Raises:
        OSError: It could not be written; the old copy stays.
    """
    try:
        content = source.read_bytes()
    except FileNotFoundError:
        return
    backup.require()
    folder = backup.folder
    for name in target.parent.relative_to(folder).parts:
        folder /= name
        folder.mkdir(exist_ok=True)
    part = target.with_name(target.name + PART)
    try:
        with part.open("wb") as file:
            file.write(content)
            flush_to_disk(file)
        if part.stat().st_size != len(content):
            raise OSError(errno.EIO, "Only a part was written", str(part))
        if target.exists():
            previous = target.with_name(target.name + PREVIOUS)
            _empty(previous)
            target.replace(previous)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            discard(part)
        raise


def put_if_changed(source: Path, target: Path, backup: Backup) -> None:
    """Copy a file, unless the copy is there already.

    Raises:
        OSError: It could not be read or written.
    """
    backup.require()
    with suppress(FileNotFoundError):
        if target.read_bytes() == source.read_bytes():
            return
    put(source, target, backup)


def discard(path: Path) -> None:
    """Delete a file of a backup, if it is there."""
    _empty(path)
    path.unlink(missing_ok=True)


def _empty(path: Path) -> None:
    """Empty a file, if it is there: Drive's trash, where it goes next, counts as used space."""
    with suppress(FileNotFoundError):
        os.truncate(path, 0)
