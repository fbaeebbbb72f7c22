"""All that is known of a submission; each piece is obtained when the first check asks for it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cifar_lab.grading.attempts import Way
from cifar_lab.grading.isolation import files
from cifar_lab.grading.isolation.scratch import scratch_folder
from cifar_lab.grading.notebook_run import NotebookRun
from cifar_lab.grading.outcomes import answer_of, is_examination, is_look_answer
from cifar_lab.grading.sandboxed import seen as seen_in_run
from cifar_lab.grading.sandboxing import run_in_sandbox
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
    "like": "own_network",
}


class Evidence(NotebookRun):
    """All pieces of evidence on one submission: its files, its notebook's run, its model.

    Args:
        folder: Folder of the submission.
        settings: Settings that the submission is checked with.
        notebook_missing_is_open: Leaves checks that need the notebook open where it is not there:
            students may check their work before they save it.
    """

    _reached: frozenset[str] | None = None  # parameters with a gradient in training

    def model(self) -> dict[str, Any]:
        """Return what running the notebook showed of its model.

        Raises:
            SubmissionError: It left none.
        """
        model = self._whole_run()["model"]
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

    def known_look(self) -> dict[str, Any] | None:
        """Return what looking at the model showed, where a check has asked for that already."""
        known = self._kept.get("look")
        return known if isinstance(known, dict) else None

    def look(self) -> dict[str, Any]:
        """Return what looking at the model showed, as a program if possible: none of its code runs.

        Raises:
            SubmissionError: There is no model that can be looked at.
        """
        return self._keep("look", self._look)

    @property
    def looked_at_in_its_notebook(self) -> bool:
        """Whether the student's own process describes the model, which could not be exported."""
        return "looks" in self.look()

    def _look(self) -> dict[str, Any]:
        looked = self._look_at_stored_model()
        if looked is None:
            way, ran = self._first_run()
            self.model()
            looked = self._look_at_exported_model(way, ran) or self._look_where_it_ran(way)
            if self._whole_run()["error"] is not None and _is_of_another_network(looked):
                self.ran_to_the_end()  # the cell that failed would have built the one that is meant
        return looked

    def _look_at_stored_model(self) -> dict[str, Any] | None:
        """Examine the handed-in program, or the library's model of the name in the manifest."""
        if self._seen_in_run()["image_size"] != seen_in_run.CIFAR_SIZE:
            return None
        looked = None
        if self.submission.program is not None:
            looked = _if_loaded(self._examine(program=self.submission.program))
        name = self.submission.manifest.get("model_name")
        if looked is None and isinstance(name, str) and name in MODELS:
            looked = _if_loaded(self._examine(model_name=name))
        return looked

    def _look_at_exported_model(self, way: Way, ran: dict[str, Any]) -> dict[str, Any] | None:
        """Examine the program that a run of the notebook exports; None where there is none."""
        if "program" not in ran["arrays"] and "export_error" not in ran["answer"]["model"]:
            ran = self._keep("run with export", lambda: self._run(way, then="export"))
        if "program" not in ran["arrays"]:
            return None
        folder = scratch_folder("cifar-lab-")
        try:
            program = folder / "model.pt2"
            program.write_bytes(ran["arrays"]["program"].tobytes())
            return _if_loaded(self._examine(program=program))
        finally:
            files.remove(folder)

    def _look_where_it_ran(self, way: Way) -> dict[str, Any]:
        """Look at the model in the process in which its notebook runs.

        Raises:
            SubmissionError: It can't be looked at there either.
        """
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
        """Return what the run tells of images and files; usual values without a run."""
        watch: dict[str, Any] = {}
        with suppress(SubmissionError, NotMadeError):
            watch = self._whole_run()["watch"]
        return {
            "image_size": seen_in_run.image_size(watch),
            "normalisation": seen_in_run.normalisation(watch),
            "preferred": seen_in_run.preferred_files(watch),
        }

    def stored_weights(self) -> dict[str, Any]:
        """Return what the weights' file tells without a model; nothing where it can't be read."""
        return self._keep("stored weights", self._look_at_stored_weights)

    def _look_at_stored_weights(self) -> dict[str, Any]:
        stored = {}
        with suppress(SubmissionError, NotMadeError):
            stored = self._examine(weights_alone=True)["answer"].get("stored", {})
        return stored

    def _examine(
        self,
        program: Path | None = None,
        model_name: str | None = None,
        *,
        weights_alone: bool = False,
    ) -> dict[str, Any]:
        weights = self._weights()
        readable = weights if program is None else {"program": program, **weights}
        if not readable:
            return {"answer": {"load_error": "no weights"}, "arrays": {}}
        arrays = {} if weights_alone else self._image_arrays()
        seen = self._seen_in_run()
        arguments = self._for_looks(weights, arrays) | seen
        if arguments["weights_are_named"]:
            arguments["preferred"] = []
        outcome = run_in_sandbox(
            "examine_model",
            arguments | {"model_name": model_name, "weights_alone": weights_alone},
            arrays=arrays,
            readable=readable,
            hidden=self._hidden(),
            limits=self.settings.look,
        )
        return answer_of(outcome, "model_found", is_examination)

    def seen(self, name: str) -> Any:
        """Return one of the looks at the model.

        Raises:
            SubmissionError: The model could not do what was asked of it.
        """
        look = self.look()["answer"].get(name)
        if isinstance(look, dict) and "value" in look:
            return look["value"]
        error = look.get("error", "no answer") if isinstance(look, dict) else "no answer"
        # A model that fails on some numbers of images has one fault, which is one check's.
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
        """Return whether, by the notebook's process, a parameter gets a gradient in training."""
        if self._reached is None:
            self._reached = frozenset()
            with suppress(SubmissionError, NotMadeError):
                self._reached = frozenset(self.model().get("reached_in_training", ()))
        return name in self._reached

    def refuse_given_network(self) -> None:
        """Refuse a network that the student was given: what it does is not their work.

        Where no model was handed in, it is enough to have trained one's own.

        Raises:
            SubmissionError: The network is one of the library's or of a notebook's.
        """
        try:
            name = self.seen("like")
        except NotMadeError:
            return
        except SubmissionError as error:
            if error.owner == "model_found" and self._trains_given_networks_alone():
                raise
            return  # the check that owns it says so
        if name:
            raise SubmissionError(
                "own_network",
                f"The network is the one that you were given as {name}: it has the same layers, "
                "whatever they are called.",
                "Build your own: other layers, more or fewer of them, other widths or shortcuts. "
                "Train it in the notebook and hand it in. Dropout, constants and another training "
                "leave it the same network.",
            )

    def _trains_given_networks_alone(self) -> bool:
        optimizers = self.run()["watch"]["optimizers"]
        return bool(optimizers) and all(one["like"] for one in optimizers)

    def refuse_nan(self) -> None:
        """Refuse NaN in the weights: the results of such a model say nothing of its network.

        Raises:
            SubmissionError: The weights hold NaN or infinity.
        """
        if self.seen("finite") is False:
            raise SubmissionError(
                "output_shape",
                "The stored weights hold NaN or infinity.",
                "Training diverged: try a tenth of the learning rate, train again and store the "
                "weights again.",
            )

    def logits(self) -> list[np.ndarray]:
        """Return the model's logits on the test images, (N, classes): of images in [0, 1].

        Where the notebook's loader normalised images, also the logits of images normalised so.

        Raises:
            SubmissionError: There are none.
        """
        self.seen("logits")
        arrays = self.look()["arrays"]
        if "logits" not in arrays:
            raise SubmissionError(
                "accuracy_agrees",
                "The process that looked at the model gave no logits of the test images.",
                "Take out what ends the process, or writes where the checks do.",
            )
        return [arrays[name] for name in ("logits", "normalised_logits") if name in arrays]


def _is_of_another_network(looked: dict[str, Any]) -> bool:
    """Return whether there are weights, and they are none of this network's."""
    weights = looked["answer"].get("weights")
    compared = weights.get("value") if isinstance(weights, dict) else None
    return isinstance(compared, dict) and any(
        compared.get(kind) for kind in ("missing", "unknown", "other_shape")
    )


def _if_loaded(looked: dict[str, Any]) -> dict[str, Any] | None:
    """Return what an examination found; None where the model could not be loaded."""
    return None if "load_error" in looked["answer"] else looked
