"""An estimate of the time that several runs take together, corrected by every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cifar_lab.utils.wording import duration

if TYPE_CHECKING:
    from cifar_lab.experiments.facts import Facts
    from cifar_lab.training.progress import Progress

FULL_SET = 50_000  # training images of CIFAR, of which the facts are
MINUTES_PER_TFLOP = 0.1  # where no minutes were measured: about, on two CPU cores


def expected_seconds(facts: Facts, *, epochs: int, images: int) -> float:
    """Return how long a training takes on two CPU cores, about."""
    minutes = facts.minutes
    if minutes is None:
        minutes = MINUTES_PER_TFLOP * facts.training_tflops
    return 60 * minutes * epochs / facts.epochs * images / FULL_SET


class TotalEstimate:
    """The time that is left of several runs, from what is expected and what was measured.

    Args:
        expected: The expected seconds of each run.
        known_device: Whether the runs are on such a device as the expectation is of. If not,
            nothing is told before the first epoch is measured.
    """

    def __init__(self, expected: Sequence[float], *, known_device: bool) -> None:
        self._expected = expected
        self._known_device = known_device
        self._run = 0
        self._measured = self._expected_of_measured = 0.0

    def begin(self, run: int) -> str:
        """Note that a run begins, and return a sentence on the time that is left from here on.

        Args:
            run: The run's index.
        """
        self._run = run
        seconds = sum(self._expected[run:])
        if self._measured:
            seconds *= self._measured / self._expected_of_measured
            return f"About {duration(seconds)} left for all."
        if self._known_device:
            return f"About {duration(seconds)} for all on two CPU cores, corrected as they train."
        return ""

    def after_epoch(self, progress: Progress) -> None:
        """Take the time of an epoch into account; a callback of `run`."""
        self._measured += progress.record.seconds
        self._expected_of_measured += self._expected[self._run] / progress.epochs
