"""What running a submission's notebook shows; each way of running it is had once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.data.image_set import ImageSet
from cifar_lab.grading import packages
from cifar_lab.grading.attempts import Way, run_fairly
from cifar_lab.grading.driving import drive
from cifar_lab.grading.outcomes import SHOWN_CHARACTERS, answer_of, is_run_answer, test_images
from cifar_lab.grading.sandboxed import seen as seen_in_run
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Submission
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.utils.environment import installed_version


class NotebookRun:
    """A submission's files, and its notebook as it runs. What failed once fails again.

    Args:
        folder: the submission's.
        settings: what it is held against.
        notebook_missing_is_open: a student checks before the notebook is saved: what needs it is
            then open, not failed.
    """

    def __init__(
        self, folder: Path, settings: Settings, *, notebook_missing_is_open: bool = False
    ) -> None:
        self.folder, self.submission = folder, Submission(folder, settings.assignment)
        self.settings = settings
        self.notebook_missing_is_open = notebook_missing_is_open
        self._kept: dict[str, Any] = {}

    def cells(self) -> Any:
        """The notebook's cells."""
        if self.notebook_missing_is_open and not self.submission.notebook_paths:
            raise NotMadeError(
                "Your notebook's file is not in the folder yet: save it, put it there, and "
                "check again with cifar_lab.check_submission(folder)."
            )
        return self.submission.cells

    def run(self, variant: int = 0, again: bool = False) -> dict[str, Any]:
        """What running the notebook showed, up to its end or to a cell that failed.

        Args:
            variant: says which test images it had.
            again: run once more, also where the same was run before.

        Raises:
            SubmissionError: its process gave no answer.
        """
        if variant == 0 and not again:
            return self._first_run()[1]["answer"]
        way = self._first_run()[0]
        return self._keep(f"run {variant} {again}", lambda: self._run(way, variant))["answer"]

    def ran_to_the_end(self) -> dict[str, Any]:
        """What `run` gives, where no cell failed.

        Raises:
            SubmissionError: one did.
            NotMadeError: it needs what the grading machine lacks.
        """
        answer = self.run()
        error = answer["error"]
        if error is None:
            return answer
        excuse = packages.excuse(
            error["kind"],
            error["text"],
            self._sources(),
            in_library=error.get("in_library") is True,
        )
        if excuse is not None:
            raise NotMadeError(excuse)
        where = f"cell {error['cell']} of {error['cells']} code cells"
        source = error["source"][:SHOWN_CHARACTERS]
        raise SubmissionError(
            "notebook_runs",
            f"{error['kind']} in {where}: {error['text'][:SHOWN_CHARACTERS]}\n\n{source}",
            "Restart the kernel, run all cells, and fix this one. The checks run without a "
            "network and without a GPU, on a stand-in for the images, with the files of the folder "
            "beside the notebook.",
        )

    def _sources(self) -> list[str]:
        """All code that is handed in."""
        helpers = [path for path in self.submission.helpers if path.suffix.lower() == ".py"]
        texts = [path.read_bytes().decode("utf-8", errors="replace") for path in helpers]
        return [cell.source for cell in self.cells() if cell.runs] + texts

    def _first_run(self) -> tuple[Way, dict[str, Any]]:
        """How the notebook is run, and what that showed."""
        then = "nothing" if self.submission.program is not None else "export"
        return self._keep(
            "first run",
            lambda: run_fairly(lambda way: self._run(way, then=then), self._sources()),
        )

    def _weights(self) -> dict[str, Path]:
        """The files that may hold the weights, by the names under which they are handed over."""
        with suppress(SubmissionError):  # the check of the weights says so
            files = self.submission.weights_files
            return {f"weights-{place}": path for place, path in enumerate(files)}
        return {}

    def _run(self, way: Way, variant: int = 0, then: str = "nothing") -> dict[str, Any]:
        """Run the notebook.

        Args:
            way: how.
            variant: of the test images.
            then: with its model: "export" it as a program, "look" at it where it is, or "nothing".
        """
        cells = [
            {"source": cell.source, "may_fail": cell.may_fail} for cell in self.cells() if cell.runs
        ]
        folder, weights = self.submission.folder, self._weights()
        arrays = self._test_arrays() if then == "look" else {}
        outcome = drive(
            "run_notebook",
            {
                "cells": cells,
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
            limits=self.settings.run,
        )
        return answer_of(outcome, "notebook_runs", is_run_answer)

    def _for_looks(
        self, weights: Mapping[str, Path], arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """The arguments that every look at a model needs."""
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

    def _test_arrays(self) -> dict[str, np.ndarray]:
        """The test images, without their labels; none where this machine does not have them."""
        with suppress(NotMadeError):  # the check of the accuracy says so
            return {"images": np.ascontiguousarray(self.test_images().images.numpy())}
        return {}

    def _hidden(self) -> list[Path]:
        """The other submissions and the datasets."""
        data = self.settings.data_folder
        return [self.folder.resolve().parent, *([] if data is None else [data])]

    def test_images(self) -> ImageSet:
        """The test images that the reported accuracy is of.

        Raises:
            NotMadeError: this machine does not have them.
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
