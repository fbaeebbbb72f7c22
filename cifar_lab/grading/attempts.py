"""The way in which a notebook is run: quickly first, and otherwise where that may be the reason.

A notebook runs on a few images of a stand-in and without a GPU. Where it fails by that, the
stand-in is to blame, not the student: it is run again, on more, or with a GPU in name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from cifar_lab.grading.sandboxed.no_gpu import mentions_accelerator, names_accelerator
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

# What fails by too few batches or images: a list that stayed empty, a class without an image, a
# tensor of the size of a whole batch, a loss that was never set.
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
    """How a notebook is run.

    Attributes:
        length: of a pass over a loader: "short" (a few small batches), "long" (many whole ones) or
            "full" (all, of a few images each).
        pretend_gpu: whether `torch.cuda.is_available()` says that there is a GPU.
    """

    length: str = "short"
    pretend_gpu: bool = False


Run = dict[str, Any]  # "answer" and "arrays" of a run of the notebook


def run_fairly(run: Callable[[Way], Run], sources: Sequence[str]) -> tuple[Way, Run]:
    """The way in which the notebook gets furthest, and the run.

    Args:
        run: runs the notebook in a way.
        sources: its code.

    Raises:
        SubmissionError: a run that gave no answer.
        NotMadeError: it can't be told whether the stand-in is the reason for its failing.
    """
    way = Way()
    found = run(way)
    error = found["answer"]["error"]
    if error is not None and (mentions_accelerator(sources) or names_accelerator(error["text"])):
        with suppress(SubmissionError):  # then it is judged by how it ran without
            way, found = _further(way, found, replace(way, pretend_gpu=True), run)
    for length in ("long", "full"):
        if not _may_be_of_length(found["answer"]):
            break
        try:
            way, found = _further(way, found, replace(way, length=length), run)
        except SubmissionError as error:
            raise _undecided(found["answer"], error) from error
    return way, found


def _further(way: Way, found: Run, other: Way, run: Callable[[Way], Run]) -> tuple[Way, Run]:
    """The other way, if the notebook comes further in it."""
    tried = run(other)
    if _progress(tried["answer"]) > _progress(found["answer"]):
        return other, tried
    return way, found


def _progress(answer: dict[str, Any]) -> tuple[float, int, bool]:
    """The cell and its line that failed, and whether there was any training."""
    error, trained = answer["error"], bool(answer["watch"]["optimizers"])
    if error is None:
        return float("inf"), 0, trained
    line = error.get("line")
    return error["cell"], line if isinstance(line, int) else 0, trained


def _may_be_of_length(answer: dict[str, Any]) -> bool:
    """Whether passes were shortened, and the notebook failed as it might by that."""
    error, watch = answer["error"], answer["watch"]
    if not watch["shortened"]:
        return False
    if error is not None:
        return error["kind"] in ERRORS_OF_LENGTH
    return not watch["optimizers"]  # gradients that are gathered over many batches


def _undecided(answer: dict[str, Any], error: SubmissionError) -> NotMadeError:
    failed = answer["error"]
    what = "no training step was seen"
    if failed is not None:
        what = f"cell {failed['cell']} fails ({failed['kind']}: {failed['text'][:200]})"
    return NotMadeError(
        f"On the first few batches of a stand-in {what}. That may be so because they are few, and "
        f"on more of them the notebook did not end: {error.seen.splitlines()[0][:200]}",
        "Look at the notebook by hand, or grade again with higher limits (run.wall_seconds in the "
        "settings).",
    )
