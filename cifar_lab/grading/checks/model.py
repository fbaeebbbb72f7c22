"""The checks that look at the model itself, as a program apart from the student's code."""

from __future__ import annotations

import math

import numpy as np

from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading.report import reported_accuracies
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

FREE_STATISTICS = 0.1  # of batch norm, as a share of the limit: more hold something else


def model_found(evidence: Evidence) -> str:
    """A module was found, and it became a program."""
    evidence.look()
    if evidence.looked_at_in_its_notebook:
        return "a torch.nn.Module, looked at in the notebook's own process: it could be no program"
    return "a torch.nn.Module, exported as a program"


def parameter_count(evidence: Evidence) -> str:
    """Numbers that the program computes with, wherever it keeps them."""
    size, settings = evidence.seen("size"), evidence.settings
    free_statistics = FREE_STATISTICS * settings.max_parameters
    constants = size["constants"] + max(0, size["statistics"] - math.floor(free_statistics))
    counted = size["parameters"] + (constants if constants > settings.free_constants else 0)
    seen = f"{counted:,} learnt numbers"
    if constants:
        seen += f" ({size['parameters']:,} in parameters, {constants:,} in other tensors)"
    if counted >= settings.max_parameters:
        raise SubmissionError(
            "parameter_count",
            f"{seen}.",
            f"Take away at least {counted - settings.max_parameters + 1:,}. Buffers and tensors in "
            "plain lists count as well as parameters; cifar_lab.count_parameters(layer) tells "
            "where they are.",
        )
    return seen


def output_shape(evidence: Evidence) -> str:
    """A row of finite logits for each image."""
    evidence.refuse_nan()
    classes = evidence.settings.num_classes
    for one in evidence.seen("shapes"):
        count = one["images"]
        if "error" in one:
            raise SubmissionError(
                "output_shape",
                f"For {count} images: {one['error']}",
                "forward must work for every number of images: flatten with x.flatten(1), don't "
                "write the batch size into it.",
            )
        if one["shape"] != [count, classes]:
            raise SubmissionError(
                "output_shape",
                f"For {count} images an output of shape {tuple(one['shape'])}.",
                f"The last layer must give {classes} logits for each image: ({count}, {classes}).",
            )
        if not one["finite"]:
            raise SubmissionError(
                "output_shape",
                "Outputs that are not finite numbers.",
                "Look for NaN in the stored weights: training diverged, or divided by zero.",
            )
    return f"(N, {classes}) for 1, 2 and 7 images"


def gradients_everywhere(evidence: Evidence) -> str:
    """No parameter is left without a gradient."""
    evidence.refuse_nan()
    waiting = [name for name in evidence.seen("gradients") if not evidence.trains(name)]
    if waiting:
        names = ", ".join(waiting[:6])
        raise SubmissionError(
            "gradients_everywhere",
            f"No gradient reaches {len(waiting)} parameters: {names}.",
            "The output doesn't depend on them: is a layer built but not used in forward, a "
            "shortcut not added, a tensor detached?",
        )
    return "a gradient for each parameter"


def overfits_one_batch(evidence: Evidence) -> str:
    """The loss on one batch falls."""
    evidence.refuse_nan()
    loss, goal = evidence.seen("overfit"), evidence.settings.overfit_loss
    if not loss < goal:
        raise SubmissionError(
            "overfits_one_batch",
            f"The lowest cross-entropy is {loss:.2f}.",
            "The model should return logits: no softmax or sigmoid at its end, since cross_entropy "
            "takes the softmax itself. Else look for activations that are stuck.",
        )
    return f"cross-entropy {loss:.2f}"


def eval_is_deterministic(evidence: Evidence) -> str:
    """Two passes give the same and change nothing."""
    evidence.refuse_nan()
    twice = evidence.seen("twice")
    if twice["changed"]:
        raise SubmissionError(
            "eval_is_deterministic",
            f"A pass in eval mode changes {', '.join(twice['changed'])}.",
            "Use nn.BatchNorm2d as a layer, or F.batch_norm(..., training=self.training).",
        )
    tolerance = evidence.settings.twice_tolerance
    if not twice["difference"] <= tolerance:
        raise SubmissionError(
            "eval_is_deterministic",
            f"The logits of the same images differ by {twice['difference']:.2g}.",
            "Something random runs in eval mode: F.dropout needs training=self.training, or use "
            "nn.Dropout as a layer.",
        )
    return f"the same within {tolerance}"


def independent_of_batch(evidence: Evidence) -> str:
    """An image's logits are the same alone and among others."""
    evidence.refuse_nan()
    difference, tolerance = evidence.seen("alone"), evidence.settings.batch_tolerance
    if math.isnan(difference) or difference > tolerance:
        raise SubmissionError(
            "independent_of_batch",
            f"The logits change by {difference:.2g} of the largest one.",
            "Something is computed over the batch in eval mode: a mean over dimension 0, or a "
            "batch normalisation without running statistics.",
        )
    return f"a difference of {difference:.1e} of the largest logit"


def weights_load(evidence: Evidence) -> str:
    """The file holds the model's tensors."""
    names = ", ".join(path.name for path in evidence.submission.weights_files[:5])
    remedy = (
        "Store them with torch.save(model.state_dict(), 'weights.pt') after training: tensors "
        "alone, and of the model that you hand in."
    )
    compared = evidence.seen("weights")
    if compared is None:
        raise SubmissionError("weights_load", "The weights were not looked at.", remedy)
    if "load_error" in compared:
        raise SubmissionError(
            "weights_load",
            f"{names} can't be loaded as a model's weights: {compared['load_error'][:500]}",
            remedy,
        )
    for kind, text in (
        ("missing", "lacks"),
        ("unknown", "has what the model lacks:"),
        ("other_shape", "has other shapes:"),
        ("other_values", "has other values than the exported model in"),
    ):
        if compared[kind]:
            raise SubmissionError(
                "weights_load", f"{compared['file']} {text} {', '.join(compared[kind])}.", remedy
            )
    _belong_to_the_notebook(evidence, remedy)
    return f"{compared['file']} fits the model"


def _belong_to_the_notebook(evidence: Evidence, remedy: str) -> None:
    """The exported model must be the one that the notebook builds, where that ran."""
    if evidence.submission.program is None:
        return
    try:
        model = evidence.model()
        size = evidence.seen("size")["parameters"]
    except (SubmissionError, NotMadeError):
        return  # other checks say so
    if model["parameters"] != size:
        raise SubmissionError(
            "weights_load",
            f"The stored model has {size:,} parameters, the one that the notebook hands in "
            f"{model['parameters']:,}.",
            remedy,
        )


def accuracy_agrees(evidence: Evidence) -> str:
    """The grader's own measurement, compared with what is reported."""
    settings, manifest = evidence.settings, evidence.submission.manifest
    reported = manifest.get("test_accuracy")
    if isinstance(reported, bool) or not isinstance(reported, int | float):
        reported = math.nan
    in_manifest = 0 <= reported <= 100
    printed = [float(reported)] if in_manifest else reported_accuracies(evidence.cells())
    if not printed:
        raise SubmissionError(
            "accuracy_agrees",
            "No test accuracy is reported.",
            "Evaluate the stored weights in the notebook and print it: "
            "print(f'Test accuracy: {accuracy:.2f} %'), or hand it to cifar_lab.submit.",
        )
    dataset = manifest.get("dataset", settings.dataset)
    if dataset != settings.dataset:
        raise SubmissionError(
            "accuracy_agrees",
            f"The reported accuracy is on {str(dataset)[:40]}.",
            f"Run the notebook on {settings.dataset} and submit again.",
        )
    evidence.test_images()
    weights_load(evidence)
    evidence.refuse_nan()
    measured = [_measure(logits, evidence) for logits in evidence.logits()]
    seen = f"reported {printed[-1]:.2f} %, measured {_measured_text(measured)}"
    if _is_one_of(printed[-1], measured, settings):
        return seen
    # An earlier one may be this network's: below it stand weaker ones', or later networks'.
    near = [one for one in printed if _is_one_of(one, measured, settings)]
    if near and (printed[-1] < max(measured) or _others_were_trained_later(evidence)):
        return f"reported {near[-1]:.2f} %, measured {_measured_text(measured)}"
    raise SubmissionError(
        "accuracy_agrees",
        f"{seen}.",
        "Print last, as test accuracy, what the stored weights reach: load them again, "
        "model.eval(), all test images, as the notebook's own test loader gives them.",
    )


def _measure(logits: np.ndarray, evidence: Evidence) -> float:
    """Percent of the test images whose largest logit is their label's."""
    labels = evidence.test_images().labels
    if logits.shape != (len(labels), evidence.settings.num_classes):
        raise SubmissionError(
            "output_shape", f"Logits of shape {logits.shape}.", "Give one logit for each class."
        )
    return 100 * float((logits.argmax(axis=1) == labels.numpy()).mean())


def _measured_text(measured: list[float]) -> str:
    """What was measured on images in [0, 1], and on normalised ones where the notebook's are."""
    plain, *normalised = measured
    also = "".join(f" ({one:.2f} % on images normalised as the notebook's)" for one in normalised)
    return f"{plain:.2f} %{also}"


def _is_one_of(reported: float, measured: list[float], settings: Settings) -> bool:
    """Whether it was measured; a whole number may be rounded, up or down."""
    tolerance = settings.accuracy_tolerance
    if reported.is_integer():
        tolerance = max(tolerance, 1.0)
    return any(abs(reported - one) <= tolerance for one in measured)


def _others_were_trained_later(evidence: Evidence) -> bool:
    """Whether the notebook went on to train other networks than the one that is handed in."""
    try:
        run = evidence.run()
    except (SubmissionError, NotMadeError):
        return False
    optimizers = run["watch"]["optimizers"]
    trained = [one["digest"] for one in optimizers]
    mine = run["model"].get("trained")
    if mine not in trained:
        return False
    network = optimizers[trained.index(mine)]["network"]
    return any(one["network"] > network for one in optimizers)
