"""What is known of a submission: each piece is had once, when the first check asks for it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.data import ImageSet
from cifar_lab.grading import drivers, packages
from cifar_lab.grading.attempts import Way, run_fairly
from cifar_lab.grading.drivers import seen as seen_in_run
from cifar_lab.grading.outcomes import (
    SHOWN_CHARACTERS,
    answer_of,
    is_examination,
    is_look_answer,
    is_run_answer,
    test_images,
)
from cifar_lab.grading.sandbox import run_isolated
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions import Submission, is_left_out
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.models import MODELS
from cifar_lab.results import installed_version

DRIVERS = Path(drivers.__file__).parent
DRIVER_PACKAGE = "cifar_lab_drivers"  # as which the drivers are imported beside a student's files
DRIVER = """
import sys, child
sys.path.insert(0, str(child.readable("cifar_lab_drivers").parent))
from cifar_lab_drivers import {name}
sys.path.pop(0)
{name}.main()
"""

# Which check each look at the model is for.
LOOKS = {
    "size": "parameter_count",
    "weights": "weights_load",
    "finite": "output_shape",
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
        outcome = run_isolated(
            DRIVER.format(name="run_notebook"),
            arguments={
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
            readable={DRIVER_PACKAGE: DRIVERS, "submission": folder, **weights},
            hidden=self._hidden(),
            limits=self.settings.run,
            left_out=is_left_out,
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

    def model(self) -> dict[str, Any]:
        """What running the notebook showed of its model.

        Raises:
            SubmissionError: it left none.
        """
        model = self.run()["model"]
        if not model["found"]:
            self.ran_to_the_end()
            raise SubmissionError(
                "model_found",
                "The notebook leaves no variable `model`, does not call cifar_lab.submit, and no "
                "network that it trained is left in a variable.",
                "Hand the trained model over: cifar_lab.submit(model, ...), or name it `model`.",
            )
        if not model["is_module"]:
            self.ran_to_the_end()
            raise SubmissionError(
                "model_found",
                f"The model is of type {model['type']}.",
                "Write it as a class that inherits from torch.nn.Module, and hand over an "
                "instance of it.",
            )
        return model

    def look(self) -> dict[str, Any]:
        """What looking at the model showed: as a program where none of the student's code runs.

        Raises:
            SubmissionError: there is no model that can be looked at.
        """
        return self._keep("look", self._look)

    @property
    def looked_at_in_its_notebook(self) -> bool:
        """Whether the model could be no program, so that the student's process tells of it."""
        return "looks" in self.look()

    def _look(self) -> dict[str, Any]:
        submission = self.submission
        name = submission.manifest.get("model_name")
        usual_size = self._seen_in_run()["image_size"] == seen_in_run.CIFAR_SIZE
        if submission.program is not None and usual_size:
            looked = self._examine(program=submission.program)
            if "load_error" not in looked["answer"]:
                return looked
        if isinstance(name, str) and name in MODELS and usual_size:
            looked = self._examine(model_name=name)
            if "load_error" not in looked["answer"]:
                return looked
        way, ran = self._first_run()
        self.model()
        if "program" not in ran["arrays"] and "export_error" not in ran["answer"]["model"]:
            ran = self._keep("run with export", lambda: self._run(way, then="export"))
        if "program" in ran["arrays"]:
            with tempfile.TemporaryDirectory() as folder:
                program = Path(folder, "model.pt2")
                program.write_bytes(ran["arrays"]["program"].astype(np.uint8).tobytes())
                looked = self._examine(program=program)
            if "load_error" not in looked["answer"]:
                return looked
        ran = self._run(way, then="look")
        looks = ran["answer"]["model"].get("looks")
        if not is_look_answer(looks):
            raise SubmissionError(
                "model_found",
                "The model could not be looked at in the process in which the notebook ran.",
                "forward must take images (N, 3, 32, 32) alone and give logits.",
            )
        return {"answer": looks, "arrays": ran["arrays"], "looks": True}

    def _seen_in_run(self) -> dict[str, Any]:
        """What the run tells of images and files for the looks; usual values without a run."""
        watch: dict[str, Any] = {}
        with suppress(SubmissionError, NotMadeError):
            watch = self.run()["watch"]
        return {
            "image_size": seen_in_run.image_size(watch),
            "normalisation": seen_in_run.normalisation(watch),
            "preferred": seen_in_run.preferred_files(watch),
        }

    def _examine(
        self, program: Path | None = None, model_name: str | None = None
    ) -> dict[str, Any]:
        readable, weights = {DRIVER_PACKAGE: DRIVERS}, self._weights()
        if program is not None:
            readable["program"] = program
        elif not weights:
            return {"answer": {"load_error": "no weights"}, "arrays": {}}
        arrays, seen = self._test_arrays(), self._seen_in_run()
        arguments = self._for_looks(weights, arrays) | seen
        if arguments["weights_are_named"]:
            arguments["preferred"] = []
        outcome = run_isolated(
            DRIVER.format(name="examine_model"),
            arguments=arguments | {"model_name": model_name},
            arrays=arrays,
            readable={**readable, **weights},
            hidden=self._hidden(),
            limits=self.settings.look,
        )
        return answer_of(outcome, "model_found", is_examination)

    def seen(self, name: str) -> Any:
        """One of the looks at the model.

        Raises:
            SubmissionError: the model could not do what was asked of it.
        """
        look = self.look()["answer"].get(name)
        if isinstance(look, dict) and "value" in look:
            return look["value"]
        error = look.get("error", "no answer") if isinstance(look, dict) else "no answer"
        # What can't be done for every number of images is one fault, and one check's.
        raise SubmissionError(
            "output_shape" if self._fails_on_some_batches() else LOOKS[name],
            f"Trying it on the model failed: {error}",
            "forward must take any number of images (N, 3, 32, 32), and train from there.",
        )

    def _fails_on_some_batches(self) -> bool:
        shapes = self.look()["answer"].get("shapes")
        shapes = shapes.get("value") if isinstance(shapes, dict) else None
        return isinstance(shapes, list) and any("error" in one for one in shapes)

    def trains(self, name: str) -> bool:
        """Whether a parameter gets a gradient in training mode, as the notebook's process tells."""
        with suppress(SubmissionError, NotMadeError):
            return name in self.model().get("reached_in_training", [])
        return False

    def refuse_nan(self) -> None:
        """What a model with NaN in its weights computes says nothing of its network.

        Raises:
            SubmissionError: it has.
        """
        if self.seen("finite") is False:
            raise SubmissionError(
                "output_shape",
                "The stored weights hold NaN or infinity.",
                "Training diverged: try a tenth of the learning rate, train again and store the "
                "weights again.",
            )

    def logits(self) -> list[np.ndarray]:
        """The model's logits on the test images, (N, classes): of images in [0, 1].

        Where the notebook's loader normalised them: also of images so normalised.
        """
        self.seen("logits")
        arrays = self.look()["arrays"]
        return [arrays[name] for name in ("logits", "normalised_logits") if name in arrays]

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
