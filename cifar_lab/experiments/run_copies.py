"""The copies of a run's files in a backup."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cifar_lab.experiments.backup import Copies, backup_at, discard, put
from cifar_lab.experiments.earlier_runs import (
    FILES,
    EarlierRun,
    FoundCopies,
    State,
    earlier_run,
    find_copies,
)
from cifar_lab.experiments.folders import RESULT, WEIGHTS, numbered
from cifar_lab.experiments.results import Result


class RunCopies:
    """The copies of a run's files.

    Args:
        backup: The folder of all backups.
        name: The usual folder of the run in it.
        planned: The run's result, as far as it is known before training.
        origin: The usual folder of the run's files, for messages.
    """

    def __init__(self, backup: str | Path, name: Path, planned: Result, origin: Path) -> None:
        self._backup = backup_at(backup)
        self._copies = Copies(self._backup, origin)
        self._place = self._backup.folder / name
        self._planned = planned
        self._source = origin
        self._target: Path | None = None  # None as long as it is not known
        self._takes_over = True
        self._copied: dict[str, tuple[int, int] | None] = {}  # the state of each file that is

    def look(self) -> FoundCopies | None:
        """Return what is there; None where the backup, which worked before, can't be read.

        Raises:
            FileNotFoundError: There is no folder for backups.
            OSError: It can't be read, and never could.
        """
        return self._copies.ask(lambda: find_copies(self._planned, self._place), otherwise=None)

    def begin(
        self,
        source: Path,
        run: EarlierRun | None,
        copy: EarlierRun | None,
        found: FoundCopies | None,
        *,
        takes_over: bool,
    ) -> None:
        """Choose the folder of the copies, which is made when there is one, and begin to copy.

        Args:
            source: The run's folder.
            run: The run that is there already; None for a new one.
            copy: Its copy, or one that it was taken from; None where there is none.
            found: All that was found in the backup; None where it could not be read.
            takes_over: Whether to replace a copy of the same run that is found later.
        """
        self._source = self._copies.origin = source
        self._takes_over = takes_over
        if copy is not None:
            self._target = copy.folder
            if run is None or not run.is_further_than(copy):
                self._copied = {name: _signature(source / name) for name in copy.contents}
        elif found is not None:
            self._target = _free_folder(self._place, found.names, source.name)
        if run is not None and any(
            (source / name).exists() for name in FILES if name not in self._copied
        ):
            self.follow()
            if run.state is State.FINISHED:
                self.finish()

    def follow(self) -> None:
        """Bring the copies up to date soon."""
        self._copies.later(self._source, self._bring_up_to_date)

    def finish(self) -> None:
        """Wait for the copies; say where they could not be completed."""
        self._copies.finish()

    def _bring_up_to_date(self) -> None:
        """Copy the files that have changed; run by the backup's thread.

        Raises:
            OSError: The backup could not be written.
        """
        self._backup.require()
        if self._target is None:
            self._target = self._choose()
        for name in FILES:
            source, target = self._source / name, self._target / name
            signature = _signature(source)
            if signature is None or (self._copied.get(name) == signature and target.exists()):
                continue
            if name == WEIGHTS:  # until the new result is there, the run counts as interrupted
                discard(self._target / RESULT)
            put(source, target, self._backup)
            self._copied[name] = signature

    def _choose(self) -> Path:
        """Return the folder for the copies, when the backup can be read at last."""
        found = find_copies(self._planned, self._place)
        here = earlier_run(self._planned, self._source)
        for copy in found.runs:
            same = self._takes_over and copy.folder.name == self._source.name
            if same and here is not None and not copy.is_further_than(here):
                return copy.folder
        return _free_folder(self._place, found.names, self._source.name)


def _free_folder(place: Path, taken: Collection[str], wanted: str) -> Path:
    """Return the folder of the wanted name next to `place`, or else `place`, `place-2`, ..."""
    folder, number = place.with_name(wanted), 0
    while folder.name in taken:
        number += 1
        folder = numbered(place, number)
    return folder


def _signature(path: Path) -> tuple[int, int] | None:
    """Return what changes with each version of a local file; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
