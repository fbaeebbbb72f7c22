"""What is known of a submission: each piece is had once, when the first check asks for it."""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.data import ImageSet
from cifar_lab.grading import drivers
from cifar_lab.grading.outcomes import (
    PACKAGES,
    SHOWN_CHARACTERS,
    answer_of,
    is_run_answer,
    test_images,
)
from cifar_lab.grading.sandbox import run_isolated
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions import Submission
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.models import MODELS
from cifar_lab.results import installed_version

DRIVERS = Path(drivers.__file__).parent
DRIVER = """
import sys, child
sys.path.insert(0, str(child.readable("drivers")))
import {name}
{name}.main()
"""

# Which check each look at the model is for.
LOOKS = {
    "size": "parameter_count",
    "weights": "weights_load",
    "shapes": "output_shape",
    "alone": "independent_of_batch",
    "twice": "eval_is_deterministic",
    "logits": "accuracy_agrees",
    "gradients": "gradients_everywhere",
    "overfit": "overfits_one_batch",
}


class Evidence:
    """All pieces of evidence on one submission. What failed once fails again in the same way.

    Args:
        folder: the submission's.
        settings: what it is held against.
        notebook_missing_is_open: a student checks before the notebook is saved: what needs it is
            then open, not failed.
    """

    def __init__(
        self, folder: Path, settings: Settings, *, notebook_missing_is_open: bool = False
    ) -> None:
        self.folder, self.submission = folder, Submission(folder)
        self.settings = settings
        self.notebook_missing_is_open = notebook_missing_is_open
        self._kept: dict[str, Any] = {}

    def cells(self) -> Any:
        """The notebook's cells."""
        if self.notebook_missing_is_open:
            paths = [path for path in self.submission.files if path.suffix == ".ipynb"]
            if not paths:
                raise NotMadeError(
                    "Your notebook's file is not in the folder yet: save it, put it there, and "
                    "check again with cifar_lab.check_submission(folder)."
                )
        return self.submission.cells

    def run(self, variant: int = 0, again: bool = False) -> dict[str, Any]:
        """What running the notebook showed; `variant` says which test images it had.

        Raises:
            SubmissionError: it did not run to its end.
        """
        answer = self._keep(f"run {variant} {again}", lambda: self._run(variant))["answer"]
        error = answer["error"]
        if error is not None:
            self._excuse(error)
            where = f"cell {error['cell']} of {error['cells']} code cells"
            source = error["source"][:SHOWN_CHARACTERS]
            raise SubmissionError(
                "notebook_runs",
                f"{error['kind']} in {where}: {error['text'][:SHOWN_CHARACTERS]}\n\n{source}",
                "Restart the kernel, run all cells, and mend this one. The checks run without a "
                "network and without a GPU (device = 'cuda' if torch.cuda.is_available() else "
                "'cpu'), on a stand-in for the images, with the files of the folder beside it.",
            )
        return answer

    def _excuse(self, error: dict[str, str]) -> None:
        """A package that this machine lacks is no fault of the submission.

        Raises:
            NotMadeError: that is what the notebook failed by.
        """
        found = re.match(r"(?:No module named|Missing optional dependency) '(\w+)", error["text"])
        kinds = ("ModuleNotFoundError", "ImportError")
        if error["kind"] in kinds and found and PACKAGES.fullmatch(found[1]):
            raise NotMadeError(
                f"The notebook needs the package {found[1]}, which the grading machine lacks. "
                "Install it where cifar-lab is installed, and grade again."
            )

    def _run(self, variant: int, *, export: bool | None = None) -> dict[str, Any]:
        cells = [
            {"source": cell.source, "may_fail": cell.may_fail} for cell in self.cells() if cell.runs
        ]
        readable = {"drivers": DRIVERS, "submission": self.submission.folder}
        with suppress(SubmissionError):  # the check of the weights says so
            readable["weights"] = self.submission.weights
        if export is None:
            export = variant == 0 and self.submission.program is None
        outcome = run_isolated(
            DRIVER.format(name="run_notebook"),
            arguments={
                "cells": cells,
                "num_classes": self.settings.num_classes,
                "variant": variant,
                "batches": self.settings.batches,
                "version": installed_version("cifar-lab"),
                "export": export,
                "weights": "weights" in readable,
            },
            readable=readable,
            hidden=self._hidden(),
            limits=self.settings.run,
        )
        return answer_of(outcome, "notebook_runs", is_run_answer)

    def _hidden(self) -> list[Path]:
        """The other submissions and the datasets."""
        data = self.settings.data_folder
        return [self.folder.resolve().parent, *([] if data is None else [data])]

    def model(self) -> dict[str, Any]:
        """What running the notebook showed of its model.

        Raises:
            SubmissionError: it left none.
        """
        model = self.run()["model"]
        if not model["found"]:
            raise SubmissionError(
                "model_found",
                "The notebook leaves no variable `model` and does not call cifar_lab.submit.",
                "Hand the trained model over: cifar_lab.submit(model, ...), or name it `model`.",
            )
        if not model["is_module"]:
            raise SubmissionError(
                "model_found",
                f"The model is of type {model['type']}.",
                "Write it as a class that inherits from torch.nn.Module, and hand over an "
                "instance of it.",
            )
        return model

    def look(self) -> dict[str, Any]:
        """What looking at the model showed, where none of the student's code runs.

        Raises:
            SubmissionError: there is no model that can be looked at.
        """
        return self._keep("look", self._look)

    def _look(self) -> dict[str, Any]:
        submission, manifest = self.submission, self.submission.manifest
        name = manifest.get("model_name")
        if submission.program is not None:
            looked = self._examine(program=submission.program)
            if "load_error" not in looked["answer"]:
                return looked
        if isinstance(name, str) and name in MODELS:
            looked = self._examine(model_name=name)
            if "load_error" not in looked["answer"]:
                return looked
        ran = self._keep("run 0 False", lambda: self._run(0))
        if "program" not in ran["arrays"] and submission.program is not None:
            ran = self._keep("run with export", lambda: self._run(0, export=True))
        self.run()
        model = self.model()
        if "program" in ran["arrays"]:
            with tempfile.TemporaryDirectory() as folder:
                program = Path(folder, "model.pt2")
                program.write_bytes(ran["arrays"]["program"].astype(np.uint8).tobytes())
                looked = self._examine(program=program)
            model = {**model, **looked["answer"]}
        if "program" not in ran["arrays"] or "load_error" in model:
            why = model.get("export_error") or model.get("load_error") or "no program came out"
            raise SubmissionError(
                "model_found",
                f"torch.export can't turn the model into a program: {str(why)[:SHOWN_CHARACTERS]}",
                "forward must take images (N, 3, 32, 32) alone and compute with torch's "
                "operations, without if or for over the tensors' values.",
            )
        return looked

    def _examine(
        self, program: Path | None = None, model_name: str | None = None
    ) -> dict[str, Any]:
        readable = {"drivers": DRIVERS}
        if program is not None:
            readable["program"] = program
        try:
            readable["weights"] = self.submission.weights
        except SubmissionError:
            if model_name is not None:
                return {"answer": {"load_error": "no weights"}, "arrays": {}}
        arrays = {}
        with suppress(NotMadeError):  # the check of the accuracy says so
            arrays["images"] = np.ascontiguousarray(self.test_images().images.numpy())
        outcome = run_isolated(
            DRIVER.format(name="examine_model"),
            arguments={
                "model_name": model_name,
                "num_classes": self.settings.num_classes,
                "weights": "weights" in readable,
                "images": bool(arrays),
                "overfit_images": self.settings.overfit_images,
                "overfit_loss": self.settings.overfit_loss,
            },
            arrays=arrays,
            readable=readable,
            hidden=self._hidden(),
            limits=self.settings.look,
        )
        return answer_of(outcome, "model_found")

    def seen(self, name: str) -> Any:
        """One of the looks at the model.

        Raises:
            SubmissionError: the model could not do what was asked of it.
        """
        look = self.look()["answer"].get(name)
        if not isinstance(look, dict) or "value" not in look:
            error = look.get("error", "no answer") if isinstance(look, dict) else "no answer"
            raise SubmissionError(
                LOOKS[name],
                f"Trying it on the model failed: {error}",
                "forward must take any number of images (N, 3, 32, 32), and train from there.",
            )
        return look["value"]

    def logits(self) -> np.ndarray:
        """The model's logits on the test images, (N, classes)."""
        self.seen("logits")
        return self.look()["arrays"]["logits"]

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
