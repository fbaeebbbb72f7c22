"""The checks that look at the model itself, as a program apart from the student's code."""

from __future__ import annotations

import math

from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading import reported_accuracies
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

FREE_STATISTICS = 0.1  # of batch norm, as a share of the limit: more hold something else


def model_found(evidence: Evidence) -> str:
    """A module was found, and it became a program."""
    evidence.look()
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
    waiting = evidence.seen("gradients")
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
    path = evidence.submission.weights
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
            f"{path.name} can't be loaded with weights_only=True: {compared['load_error'][:500]}",
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
                "weights_load", f"{path.name} {text} {', '.join(compared[kind])}.", remedy
            )
    _belong_to_the_notebook(evidence, remedy)
    return f"{path.name} fits the model"


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
    """The grader's own measurement, beside what is reported."""
    settings, manifest = evidence.settings, evidence.submission.manifest
    reported = manifest.get("test_accuracy")
    if isinstance(reported, int | float) and 0 <= reported <= 100:
        printed = [float(reported)]
    else:
        printed = reported_accuracies(evidence.cells())
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
    labels = evidence.test_images().labels
    weights_load(evidence)
    logits = evidence.logits()
    if logits.shape != (len(labels), settings.num_classes):
        raise SubmissionError(
            "output_shape", f"Logits of shape {logits.shape}.", "Give one logit for each class."
        )
    measured = 100 * float((logits.argmax(axis=1) == labels.numpy()).mean())
    seen = f"reported {printed[-1]:.2f} %, measured {measured:.2f} %"
    near = [one for one in printed if abs(one - measured) <= settings.accuracy_tolerance]
    if near and printed[-1] < measured:  # a weaker network's stands below: no boast
        return f"reported {near[-1]:.2f} %, measured {measured:.2f} %"
    if not abs(printed[-1] - measured) <= settings.accuracy_tolerance:
        raise SubmissionError(
            "accuracy_agrees",
            f"{seen}.",
            "Print last, as test accuracy, what the stored weights reach: load them again, "
            "model.eval(), all test "
            "images, images in [0, 1] with any normalisation inside the model.",
        )
    return seen
