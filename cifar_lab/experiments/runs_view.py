"""The progress of several runs in one view: bars on a terminal, elsewhere lines."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO

from cifar_lab.utils.console import progress_stream, say
from cifar_lab.utils.wording import counted, duration

if TYPE_CHECKING:
    from tqdm import tqdm

    from cifar_lab.experiments.run_process import Event

BAR = "{desc:<32.32} {n_fmt:>4}/{total_fmt:<4} |{bar:16}| {elapsed}{postfix}"


class RunsView:
    """The progress of several runs; calls may come from several threads.

    Args:
        total: The number of runs.
        enabled: Whether to show anything.
    """

    def __init__(self, total: int, *, enabled: bool = True) -> None:
        self._lock = threading.RLock()
        self._enabled = enabled
        self._total = total
        self._ended = 0
        self._times: dict[str, deque[float]] = {}  # of the last epochs
        stream = progress_stream()
        self._room = _lines(stream) - 2 if enabled else 0  # for bars of runs
        self._bars: dict[str, tqdm[Any]] = {}
        self._all: tqdm[Any] | None = None
        if self._room > 0:
            self._all = self._bar("all runs", total, position=0)

    def event(self, name: str, event: Event) -> None:
        """Show an event of a run."""
        with self._lock:
            if event["event"] == "begin":
                self._begin(name, event["epochs"])
            elif event["event"] == "epoch":
                self._epoch(name, event)

    def end(self, name: str, text: str) -> None:
        """Show that a run has ended."""
        with self._lock:
            self._ended += 1
            self._close(name)
            if self._all is not None:
                self._all.update()
            self.say(f"[{self._ended}/{self._total}] {name}: {text}")

    def again(self, name: str, text: str) -> None:
        """Show that a run will begin once more."""
        with self._lock:
            self._close(name)
            self.say(f"{name}: {text}")

    def say(self, line: str) -> None:
        """Print a line without breaking the bars."""
        if not self._enabled:
            return
        with self._lock:
            if self._all is None:
                say(line)
            else:
                self._all.write(line, file=progress_stream())

    def close(self) -> None:
        """Remove the bars."""
        with self._lock:
            for name in list(self._bars):
                self._close(name)
            if self._all is not None:
                self._all.close()
                self._all = None

    def _begin(self, name: str, epochs: int) -> None:
        self._times.pop(name, None)
        if self._all is None:
            self.say(f"{name}: begins, {counted(epochs, 'epoch')}")
        elif name not in self._bars and len(self._bars) < self._room:
            taken = {-bar.pos for bar in self._bars.values()}
            position = next(number for number in range(1, 1000) if number not in taken)
            self._bars[name] = self._bar(name, epochs, position=position)

    def _epoch(self, name: str, event: Event) -> None:
        left = self._left(name, event)
        bar = self._bars.get(name)
        if bar is not None:
            accuracy = event["accuracy"]
            shown = [] if accuracy is None else [f"{accuracy:.2f} %"]
            bar.set_postfix_str("   ".join([*shown, left] if left else shown), refresh=False)
            bar.update(event["epoch"] - bar.n)
        elif self._all is None:
            self.say(f"{name}: {event['text']}{f'   {left}' if left else ''}")

    def _left(self, name: str, event: Event) -> str:
        """Return the time that is left, by the times between the last epochs of this run."""
        times = self._times.setdefault(name, deque(maxlen=4))
        times.append(time.monotonic())
        epochs = event["epochs"] - event["epoch"]
        if not epochs:
            return ""
        between = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else event["seconds"]
        return f"about {duration(between * epochs)} left"

    def _bar(self, name: str, total: int, *, position: int) -> tqdm[Any]:
        from tqdm import tqdm

        return tqdm(
            total=total,
            desc=name,
            position=position,
            leave=False,
            file=progress_stream(),
            mininterval=0,
            bar_format=BAR,
        )

    def _close(self, name: str) -> None:
        bar = self._bars.pop(name, None)
        if bar is not None:
            bar.close()


def _lines(stream: TextIO) -> int:
    """Return the height of a terminal; 0 for a file or a notebook."""
    try:
        return os.get_terminal_size(stream.fileno()).lines if stream.isatty() else 0
    except (OSError, ValueError):  # a stream without a file
        return 0
