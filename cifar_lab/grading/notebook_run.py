"""The runs of a submission's notebook; each way of running it is tried once."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.data.image_set import ImageSet
from cifar_lab.grading import platform_reasons
from cifar_lab.grading.attempts import UndecidedError, Way, run_fairly
from cifar_lab.grading.isolation.sandbox import Limits
from cifar_lab.grading.outcomes import (
    SHOWN_CHARACTERS,
    EndedError,
    answer_of,
    is_run_answer,
    sample_of_training,
    test_images,
)
from cifar_lab.grading.sandboxed import seen as seen_in_run
from cifar_lab.grading.sandboxing import run_in_sandbox
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Submission
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.utils.environment import installed_version

# Beyond the time of its cells: to start, to describe what was seen, to export the model.
SECONDS_BESIDES = 60
NO_MODEL = {"found": False, "is_module": False, "type": "NoneType"}


class NotebookRun:
    """A submission's files, and its notebook as it runs; a run that failed once fails again.

    Args:
        folder: Folder of the submission.
        settings: Settings that the submission is checked with.
        notebook_missing_is_open: Leaves checks that need the notebook open where it is not there:
            students may check their work before they save it.
    """

    def __init__(
        self, folder: Path, settings: Settings, *, notebook_missing_is_open: bool = False
    ) -> None:
        self.folder, self.submission = folder, Submission(folder, settings.assignment)
        self.settings = settings
        self.notebook_missing_is_open = notebook_missing_is_open
        self._kept: dict[str, Any] = {}
        self._ended: dict[str, Any] | None = None  # the cell that ended the process, as an error
        self._undecided: NotMadeError | None = None  # why it is not known whether a cell fails
        self._until_failure = False

    def cells(self) -> Any:
        """Return the notebook's cells."""
        if self.notebook_missing_is_open and not self.submission.notebook_paths:
            raise NotMadeError(
                "Your notebook's file is not in the folder yet. Save it, put it there and run this "
                "cell again."
            )
        return self.submission.cells

    def run(self, variant: int = 0, again: bool = False) -> dict[str, Any]:
        """Return what running the notebook showed.

        Where a cell failed, the others were run all the same, see `until_the_failure`.

        Args:
            variant: Selects the test images of the run.
            again: Runs the notebook once more, also where the same was run before.

        Raises:
            SubmissionError: Its process gave no answer.
        """
        way, first = self._first_run()
        run = first
        if variant != 0 or again:
            run = self._keep(f"run {variant} {again}", lambda: self._run(way, variant))
        answer = run["answer"]
        if self._until_failure and "watch_before" in answer:
            return answer | {"watch": answer["watch_before"], "model": NO_MODEL}
        return answer

    def _whole_run(self) -> dict[str, Any]:
        """Return what the run showed in the end, whatever was asked for last."""
        until, self._until_failure = self._until_failure, False
        try:
            return self.run()
        finally:
            self._until_failure = until

    @contextmanager
    def until_the_failure(self) -> Iterator[None]:
        """Have `run` tell what was seen until a cell failed: the rest may follow from that."""
        self._until_failure = True
        try:
            yield
        finally:
            self._until_failure = False

    @property
    def was_asked_to_run(self) -> bool:
        """Whether a check has asked for a run of the notebook."""
        return "first run" in self._kept

    @property
    def went_on(self) -> bool:
        """Whether the notebook was run, a cell failed, and those behind it were run as well."""
        kept = self._kept.get("first run")
        return isinstance(kept, tuple) and "watch_before" in kept[1]["answer"]

    def ran_to_the_end(self) -> dict[str, Any]:
        """Return what `run` gives, where no cell failed.

        Raises:
            SubmissionError: A cell failed.
            NotMadeError: It needs what the grading machine lacks.
        """
        answer = self._whole_run()
        error = answer["error"]
        if error is None:
            return answer
        reason = platform_reasons.reason_of(error, self._sources())
        if reason is not None:
            raise NotMadeError(
                platform_reasons.seen(reason, error), platform_reasons.remedy(reason)
            )
        if self._undecided is not None:
            raise self._undecided
        raise SubmissionError("notebook_runs", _told(error, answer), _advice(error))

    def missing(self, owner: str, seen: str, remedy: str) -> SubmissionError:
        """Return the error for what was not seen, unless a cell failed before it could be.

        Raises:
            SubmissionError: A cell failed: what is missing may come after it.
        """
        self.ran_to_the_end()
        if self._undecided is not None:
            raise self._undecided
        return SubmissionError(owner, seen, remedy)

    def _sources(self) -> list[str]:
        """Return all code that is handed in."""
        helpers = [path for path in self.submission.helpers if path.suffix.lower() == ".py"]
        texts = [path.read_bytes().decode("utf-8", errors="replace") for path in helpers]
        return [cell.source for cell in self.cells() if cell.runs] + texts

    def _first_run(self) -> tuple[Way, dict[str, Any]]:
        """Return the way in which the notebook is run, and what that run showed."""
        return self._keep("first run", self._run_first)

    def _run_first(self) -> tuple[Way, dict[str, Any]]:
        """Run the notebook in several ways; where a cell ends the process, those before it."""
        then = "nothing" if self.submission.program is not None else "export"
        try:
            return run_fairly(lambda way: self._run(way, then=then), self._sources())
        except UndecidedError as undecided:
            self._undecided = undecided
            return undecided.way, undecided.found
        except EndedError as error:
            runs = [cell for cell in self.cells() if cell.runs]
            if error.cell is None or not 1 < error.cell <= len(runs):
                raise
            self._ended = {
                "cell": error.cell,
                "cells": len(runs),
                "kind": "It ended the run",
                "text": error.seen,
                "source": runs[error.cell - 1].source[:SHOWN_CHARACTERS],
            }
            with suppress(EndedError):
                return Way(), self._run(Way(), then=then)
            self._ended = None
            raise

    def _weights(self) -> dict[str, Path]:
        """Return the files that may hold the weights, by the names that the sandbox gives them."""
        with suppress(SubmissionError):  # the check of the weights says so
            files = self.submission.weights_files
            return {f"weights-{place}": path for place, path in enumerate(files)}
        return {}

    def _run(self, way: Way, variant: int = 0, then: str = "nothing") -> dict[str, Any]:
        """Run the notebook.

        Args:
            way: Length of passes over loaders, and whether a GPU is pretended.
            variant: Selects the test images of the run.
            then: Says what is done with the model: "export" it as a program, "look" at it where
                it is, or "nothing".
        """
        cells = [
            {"source": cell.source, "may_fail": cell.may_fail} for cell in self.cells() if cell.runs
        ]
        if self._ended is not None:
            cells = cells[: self._ended["cell"] - 1]
        folder, weights = self.submission.folder, self._weights()
        arrays = self._image_arrays() if then == "look" else {}
        outcome = run_in_sandbox(
            "run_notebook",
            {
                "cells": cells,
                "seconds": self.settings.run.wall_seconds,
                "go_on": way.goes_on,
                "folder": self._place(),
                "helpers": [str(path.relative_to(folder)) for path in self.submission.helpers],
                "variant": variant,
                "length": way.length,
                "pretend_gpu": way.pretend_gpu,
                "version": installed_version("cifar-lab"),
                "then": then,
                **self._for_looks(weights, arrays),
            },
            arrays=arrays,
            readable={"submission": folder, **weights},
            hidden=self._hidden(),
            limits=_with_more_time(self.settings.run),
        )
        found = answer_of(outcome, "notebook_runs", is_run_answer)
        if self._ended is not None and found["answer"]["error"] is None:
            found["answer"]["error"] = self._ended
        return found

    def _place(self) -> str:
        """Return the path in the submission of the folder that the notebook runs in.

        `cifar_lab.submit` copies the notebook: its helpers are not beside that copy.
        """
        folder, home = self.submission.notebook_path.parent, self.submission.home
        is_copy = folder == home and bool(self.submission.manifest)
        return "" if is_copy else str(folder.relative_to(self.submission.folder))

    def _for_looks(
        self, weights: Mapping[str, Path], arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Return the arguments that every look at a model needs."""
        settings = self.settings
        return {
            "num_classes": settings.num_classes,
            "weights": [path.name for path in weights.values()],
            "weights_are_named": bool(self.submission.manifest),
            "preferred": [],
            "image_size": seen_in_run.CIFAR_SIZE,
            "normalisation": None,
            "images": bool(arrays),
            "overfit_images": settings.overfit_images,
            "overfit_loss": settings.overfit_loss,
        }

    def _image_arrays(self) -> dict[str, np.ndarray]:
        """Return images without their labels; none where this machine has none."""
        with suppress(NotMadeError):  # the check of the accuracy says so
            return {
                "images": np.ascontiguousarray(self.test_images().images.numpy()),
                "training_images": np.ascontiguousarray(
                    sample_of_training(self.settings).images.numpy()
                ),
            }
        return {}

    def _hidden(self) -> list[Path]:
        """Return the folders of the other submissions and of the datasets."""
        data = self.settings.data_folder
        return [self.folder.resolve().parent, *([] if data is None else [data])]

    def test_images(self) -> ImageSet:
        """Return the test images that the reported accuracy is of.

        Raises:
            NotMadeError: This machine does not have them.
        """
        return test_images(self.settings)

    def _keep(self, name: str, get: Any) -> Any:
        if name not in self._kept:
            try:
                self._kept[name] = get()
            except (SubmissionError, NotMadeError) as error:
                self._kept[name] = error
        kept = self._kept[name]
        if isinstance(kept, Exception):
            raise kept
        return kept


def _with_more_time(limits: Limits) -> Limits:
    """Return the limits of a run whose cells have the time that these allow."""
    return replace(
        limits,
        wall_seconds=limits.wall_seconds + SECONDS_BESIDES,
        cpu_seconds=limits.cpu_seconds + SECONDS_BESIDES,
    )


def _told(error: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """Return what is said of a cell that failed."""
    where = f"cell {error['cell']} of {error['cells']} code cells"
    source = error["source"][:SHOWN_CHARACTERS]
    if error.get("time") is True:
        sizes = [one["parameters"] for one in answer["watch"]["optimizers"]]
        trained = f" The largest network that it trains has {max(sizes, default=0):,} parameters."
        return (
            f"The time that all cells have together was used up in {where}."
            f"{trained if sizes else ''}\n\n{source}"
        )
    text = error["text"][:SHOWN_CHARACTERS]
    later = answer.get("later_errors") or []
    also = f"\n\nAfter it failed: {', '.join(f'cell {one}' for one in later[:10])}."
    return f"{error['kind']} in {where}: {text}\n\n{source}{also if later else ''}"


def _advice(error: Mapping[str, Any]) -> str:
    """Return what a student can do about a cell that failed."""
    if error.get("time") is True:
        return (
            "Passes over loaders end after a few batches here, so look for a loop without end, for "
            "one that goes through the images without a loader, for thousands of epochs, or take a "
            "smaller network."
        )
    used = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        "Restart the kernel, run all cells, and fix this one. The checks run without a network and "
        "without a GPU, on fake images, with the files of the folder beside the notebook, and with "
        f"{used}."
    )


def versions() -> dict[str, str]:
    """Return the versions of what runs the notebooks, by name."""
    return {
        "Python": platform.python_version(),
        "PyTorch": installed_version("torch"),
        "IPython": installed_version("ipython"),
    }
