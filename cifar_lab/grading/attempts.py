"""The way in which a notebook is run: quickly first, and otherwise where that made it fail.

A notebook runs on a few fake images and without a GPU. Where it fails because of that, it is not
the student's fault: it is run again, on more images, or with a GPU in name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from cifar_lab.grading.platform_reasons import reason_of
from cifar_lab.grading.sandboxed.no_gpu import mentions_accelerator, names_accelerator
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

# Errors that too few batches or images may cause: a list that stayed empty, a class without an
# image, a tensor of the size of a whole batch, a loss that was never set.
ERRORS_OF_LENGTH = frozenset(
    {
        "AssertionError",
        "IndexError",
        "KeyError",
        "RuntimeError",
        "StopIteration",
        "TypeError",
        "UnboundLocalError",
        "ValueError",
        "ZeroDivisionError",
    }
)


@dataclass(frozen=True)
class Way:
    """A way of running a notebook.

    Attributes:
        length: Length of a pass over a loader: "short" (a few small batches), "long" (many whole
            ones) or "full" (all, of a few images each).
        pretend_gpu: Whether `torch.cuda.is_available()` says that there is a GPU.
    """

    length: str = "short"
    pretend_gpu: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether cells behind one that failed are run as well: longer passes take too long."""
        return self.length == "short"


Run = dict[str, Any]  # "answer" and "arrays" of a run of the notebook


class UndecidedError(NotMadeError):
    """It can't be told whether a notebook fails because the images are few and fake.

    Args:
        way: Way in which it got furthest.
        found: That run.
        error: Error of a run on more images.
    """

    def __init__(self, way: Way, found: Run, error: SubmissionError) -> None:
        self.way, self.found = way, found
        failed = found["answer"]["error"]
        what = "no training step was seen"
        if failed is not None:
            what = f"cell {failed['cell']} fails ({failed['kind']}: {failed['text'][:200]})"
        super().__init__(
            f"On the first few batches of fake images {what}. That may be so because they are few, "
            f"and on more of them the notebook did not end: {error.seen.splitlines()[0][:200]}",
            "Instructor: look at the notebook by hand, or grade again with higher limits "
            "(run.wall_seconds in the settings).",
        )


def run_fairly(run: Callable[[Way], Run], sources: Sequence[str]) -> tuple[Way, Run]:
    """Run the notebook in the way in which it gets furthest; return the way and the run.

    Args:
        run: Runs the notebook in the given way.
        sources: Code of the notebook and of its helpers.

    Raises:
        SubmissionError: A run gave no answer.
        UndecidedError: It can't be told whether it fails because the images are few and fake.
    """
    way = Way()
    found = run(way)
    error = found["answer"]["error"]
    if error is None or error.get("time") is True:
        return _long_enough(way, found, run)
    if mentions_accelerator(sources) or names_accelerator(error["text"]):
        with suppress(SubmissionError):  # then it is judged by how it ran without
            way, found = _further(way, found, replace(way, pretend_gpu=True), run)
    error = found["answer"]["error"]
    if error is not None and reason_of(error, sources) is not None:
        return way, found  # longer passes lack the same
    return _long_enough(way, found, run)


def _long_enough(way: Way, found: Run, run: Callable[[Way], Run]) -> tuple[Way, Run]:
    """Return the length of passes at which the notebook gets furthest, and that run."""
    for length in ("long", "full"):
        if not _may_be_of_length(found["answer"]):
            break
        try:
            further = _further(way, found, replace(way, length=length), _in_time(run))
        except SubmissionError as error:
            raise UndecidedError(way, found, error) from error
        way, found = further
    return way, found


def _in_time(run: Callable[[Way], Run]) -> Callable[[Way], Run]:
    """Return the function, which then raises `SubmissionError` where the time was used up."""

    def within(way: Way) -> Run:
        found = run(way)
        error = found["answer"]["error"]
        if error is not None and error.get("time") is True:
            raise SubmissionError("notebook_runs", "its time was used up.", "")
        return found

    return within


def _further(way: Way, found: Run, other: Way, run: Callable[[Way], Run]) -> tuple[Way, Run]:
    """Return the other way and its run if the notebook gets further in it."""
    tried = run(other)
    if _progress(tried["answer"]) > _progress(found["answer"]):
        return other, tried
    return way, found


def _progress(answer: dict[str, Any]) -> tuple[float, int, bool]:
    """Return the cell and its line that failed, and whether there was any training."""
    error = answer["error"]
    trained = bool(answer.get("watch_before", answer["watch"])["optimizers"])
    if error is None:
        return float("inf"), 0, trained
    line = error.get("line")
    return error["cell"], line if isinstance(line, int) else 0, trained


def _may_be_of_length(answer: dict[str, Any]) -> bool:
    """Return whether passes were shortened, and the notebook may have failed because of that."""
    error, watch = answer["error"], answer.get("watch_before", answer["watch"])
    if not watch["shortened"]:
        return False
    if error is not None:
        return error["kind"] in ERRORS_OF_LENGTH
    return not watch["optimizers"]  # gradients that are gathered over many batches
