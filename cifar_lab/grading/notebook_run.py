"""The runs of a submission's notebook; each way of running it is tried once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.data.image_set import ImageSet
from cifar_lab.grading import packages
from cifar_lab.grading.attempts import Way, run_fairly
from cifar_lab.grading.outcomes import SHOWN_CHARACTERS, answer_of, is_run_answer, test_images
from cifar_lab.grading.sandboxed import seen as seen_in_run
from cifar_lab.grading.sandboxing import run_in_sandbox
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.submission import Submission
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.utils.environment import installed_version


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

    def cells(self) -> Any:
        """Return the notebook's cells."""
        if self.notebook_missing_is_open and not self.submission.notebook_paths:
            raise NotMadeError(
                "Your notebook's file is not in the folder yet. Save it, put it there and run this "
                "cell again."
            )
        return self.submission.cells

    def run(self, variant: int = 0, again: bool = False) -> dict[str, Any]:
        """Return what running the notebook showed, up to its end or to a cell that failed.

        Args:
            variant: Selects the test images of the run.
            again: Runs the notebook once more, also where the same was run before.

        Raises:
            SubmissionError: Its process gave no answer.
        """
        if variant == 0 and not again:
            return self._first_run()[1]["answer"]
        way = self._first_run()[0]
        return self._keep(f"run {variant} {again}", lambda: self._run(way, variant))["answer"]

    def ran_to_the_end(self) -> dict[str, Any]:
        """Return what `run` gives, where no cell failed.

        Raises:
            SubmissionError: A cell failed.
            NotMadeError: It needs what the grading machine lacks.
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
            "network and without a GPU, on fake images, with the files of the folder beside the "
            "notebook.",
        )

    def missing(self, owner: str, seen: str, remedy: str) -> SubmissionError:
        """Return the error for what was not seen, unless a cell failed before it could be.

        Raises:
            SubmissionError: A cell failed: what is missing may come after it.
        """
        self.ran_to_the_end()
        return SubmissionError(owner, seen, remedy)

    def _sources(self) -> list[str]:
        """Return all code that is handed in."""
        helpers = [path for path in self.submission.helpers if path.suffix.lower() == ".py"]
        texts = [path.read_bytes().decode("utf-8", errors="replace") for path in helpers]
        return [cell.source for cell in self.cells() if cell.runs] + texts

    def _first_run(self) -> tuple[Way, dict[str, Any]]:
        """Return the way in which the notebook is run, and what that run showed."""
        then = "nothing" if self.submission.program is not None else "export"
        return self._keep(
            "first run",
            lambda: run_fairly(lambda way: self._run(way, then=then), self._sources()),
        )

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
        folder, weights = self.submission.folder, self._weights()
        arrays = self._test_arrays() if then == "look" else {}
        outcome = run_in_sandbox(
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

    def _test_arrays(self) -> dict[str, np.ndarray]:
        """Return the test images without their labels; none where this machine has none."""
        with suppress(NotMadeError):  # the check of the accuracy says so
            return {"images": np.ascontiguousarray(self.test_images().images.numpy())}
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
