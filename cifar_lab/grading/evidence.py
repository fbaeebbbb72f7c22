"""What is known of a submission: each piece is had once, when the first check asks for it."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.grading.driving import drive
from cifar_lab.grading.notebook_run import NotebookRun
from cifar_lab.grading.outcomes import answer_of, is_examination, is_look_answer
from cifar_lab.grading.sandboxed import seen as seen_in_run
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError
from cifar_lab.models import MODELS

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


class Evidence(NotebookRun):
    """All pieces of evidence on one submission: its files, its notebook's run, its model.

    Args:
        folder: the submission's.
        settings: what it is held against.
        notebook_missing_is_open: a student checks before the notebook is saved: what needs it is
            then open, not failed.
    """

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
        weights = self._weights()
        readable = weights if program is None else {"program": program, **weights}
        if not readable:
            return {"answer": {"load_error": "no weights"}, "arrays": {}}
        arrays, seen = self._test_arrays(), self._seen_in_run()
        arguments = self._for_looks(weights, arrays) | seen
        if arguments["weights_are_named"]:
            arguments["preferred"] = []
        outcome = drive(
            "examine_model",
            arguments | {"model_name": model_name},
            arrays=arrays,
            readable=readable,
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
