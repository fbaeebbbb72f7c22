"""The cells of a notebook, run from top to bottom within the time that they have together."""

from __future__ import annotations

import ast
import copy
import errno
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import platforms
from .failures import OutOfTime, describe
from .seen import CELL_MARK

AGAIN_SECONDS = 5.0  # of processor time, after which a cell that took no notice is told again
MOST_FAILURES = 100
MOST_IMPORTS = 50  # statements of one cell that failed, after which its others are run


class Cells:
    """A notebook's code cells.

    Where a cell fails, the others are run all the same if that is asked for: what they show is
    judged, as far as it does not follow from the failure.

    Args:
        shell: IPython's shell.
        cells: Each cell's `source`, and whether it `may_fail`.
        report: Returns what was seen so far.
        seconds: Processor time that all cells have together.
    """

    def __init__(
        self,
        shell: Any,
        cells: list[dict[str, Any]],
        report: Callable[[], dict[str, Any]],
        seconds: float,
    ) -> None:
        self.shell, self.cells, self.report, self.seconds = shell, cells, report, seconds
        self.error: dict[str, Any] | None = None
        self.later: list[int] = []  # cells that failed after the first one
        self.before: dict[str, Any] | None = None  # what was seen until the first one failed
        self._is_running = self._rang = False

    def failures(self) -> dict[str, Any]:
        """Return what failed, as part of the answer."""
        found = {"error": self.error, "later_errors": self.later[:MOST_FAILURES]}
        return found if self.before is None else found | {"watch_before": self.before}

    def run(self, *, go_on: bool) -> None:
        """Run them, up to the first that fails or, where cells go on, to the last."""
        told = sys.stderr
        self._set_alarm(self.seconds)
        try:
            for place, cell in enumerate(self.cells, 1):
                with suppress(Exception):  # the student's code may have closed it
                    print(f"{CELL_MARK} {place}", file=told, flush=True)
                asked = platforms.questions()
                error = self._fails(cell["source"])
                if error is None or (cell["may_fail"] and not self._rang):
                    continue
                self._note(error, cell["source"], place, asks=platforms.questions() > asked)
                if self._rang or not go_on or _used_up(error):
                    return
                self._run_past_imports(cell["source"], error)
        finally:
            self._set_alarm(0)

    def _note(self, error: BaseException, source: str, place: int, *, asks: bool) -> None:
        if self.error is not None:
            self.later.append(place)
            return
        self.error = describe(error, source, place, len(self.cells))
        self.error |= {"asks": asks, "time": self._rang}
        self.before = copy.deepcopy(self.report())

    def _fails(self, source: str) -> BaseException | None:
        """Run a cell; return the error that ended it."""
        try:
            self._is_running = True
            result = self.shell.run_cell(platforms.moved(source), store_history=True)
            return result.error_before_exec or result.error_in_exec
        except OutOfTime as error:  # in the middle of IPython's own code
            return error
        finally:
            self._is_running = False

    def _run_past_imports(self, source: str, error: BaseException) -> None:
        """Run what follows an import that failed: the others of a cell are used all the same."""
        for _ in range(MOST_IMPORTS):
            rest = _behind_import(self.shell, source, describe(error, source, 0, 0)["line"])
            if not isinstance(error, ImportError) or not rest:
                return
            following = self._fails(rest)
            if following is None:
                return
            source, error = rest, following

    def _set_alarm(self, seconds: float) -> None:
        """Have a cell end by `OutOfTime` after so much processor time of this process; 0: never.

        Other work of the machine takes none of it. What waits, or computes in other processes, is
        stopped from outside, later.
        """
        signal.signal(signal.SIGPROF, self._ring if seconds else signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN_SECONDS if seconds else 0)

    def _ring(self, number: int, frame: Any) -> None:
        if self._is_running:
            self._rang = True
            raise OutOfTime("the time that all cells have together is used up")


def _used_up(error: BaseException) -> bool:
    """Return whether memory or disk space is used up, so that cells behind it have none."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def _behind_import(shell: Any, source: str, line: int) -> str:
    """Return the statements of a cell behind the import on a line; "" where that is none."""
    try:
        code = shell.transform_cell(source)
        statements = ast.parse(code).body
    except Exception:  # IPython raises errors of its own
        return ""
    for place, statement in enumerate(statements[:-1]):
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        if isinstance(statement, ast.Import | ast.ImportFrom) and line in lines:
            return "\n".join(code.splitlines()[statements[place + 1].lineno - 1 :])
    return ""
