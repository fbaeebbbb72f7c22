"""The time that counts against a child: its own, not that of a machine busy with other work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from cifar_lab.grading.isolation import watch as watch

LATE_LOOKS = 4  # a look that comes late counts as so many: what was in between is not known


class OwnTime:
    """The seconds of a run that are its own doing, added up from look to look.

    Where one of its processes wants a processor at both looks, the processor time that they were
    given in between counts, up to the time that passed: several at once are as fast as one. Else it
    waited by its own doing, and the time that passed counts. Time that they want and do not get
    does not count.

    Time that passes also counts where processor time can't be known: on macOS, and where a process
    ends whose parent refuses to be told of it, so that its processor time is lost.

    Args:
        look_seconds: Seconds between two looks, unless the machine is busy.

    Attributes:
        seconds: Seconds that are its own doing, since `restart` or from the start.
    """

    def __init__(self, look_seconds: float) -> None:
        self._most_idle_seconds = LATE_LOOKS * look_seconds
        self.restart(())

    def restart(self, processes: Sequence[watch.Process]) -> None:
        """Forget what was added up; `processes` are those that are there now."""
        self.seconds = 0.0
        self._began = self._looked = time.monotonic()
        self._before, self._ran = processes, watch.are_running(processes)

    @property
    def passed_seconds(self) -> float:
        """All time from there to the last look, on the wall's clock."""
        return self._looked - self._began

    def look(self, processes: Sequence[watch.Process]) -> None:
        """Add the time since the last look; `processes` are those that are there now."""
        now = time.monotonic()
        passed, run = now - self._looked, watch.are_running(processes)
        used = _processor_seconds(self._before, processes) if run and self._ran else None
        self.seconds += min(passed, self._most_idle_seconds if used is None else used)
        self._looked, self._before, self._ran = now, processes, run


def _processor_seconds(
    before: Sequence[watch.Process], now: Sequence[watch.Process]
) -> float | None:
    """Return the processor time that was used between two looks; None where unknown."""
    earlier, later = ({process.pid: process for process in each} for each in (before, now))
    used = _seconds(later.values()) - _seconds(earlier.values())
    ended = [process for pid, process in earlier.items() if pid not in later]
    inherited = sum(
        process.ended_seconds - earlier[pid].ended_seconds
        for pid, process in later.items()
        if pid in earlier
    )
    return None if ended and inherited <= _seconds(ended) else max(0.0, used)


def _seconds(processes: Iterable[watch.Process]) -> float:
    return sum(process.seconds + process.ended_seconds for process in processes)
