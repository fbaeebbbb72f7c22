"""Checks of the model itself, as a program apart from the student's code."""

from __future__ import annotations

import math
from collections.abc import Mapping

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

FREE_STATISTICS = 0.1  # of batch norm, as a share of the limit: more hold something else


@check(
    "The model is a torch.nn.Module",
    expectation=(
        "a torch.nn.Module, handed over with cifar_lab.submit or left in the variable "
        "`model`, that torch.export can turn into a program"
    ),
    points={"a": 2, "b": 2},
)
def model_found(evidence: Evidence) -> str:
    """Check that a module was found, and tell whether it became a program."""
    evidence.look()
    if evidence.looked_at_in_its_notebook:
        return "a torch.nn.Module, looked at in the notebook's own process: it could be no program"
    return "a torch.nn.Module, exported as a program"


@check(
    "The network is your own",
    expectation=(
        "a network whose layers differ from those of every network in the library and in the "
        "notebooks, whatever their names"
    ),
    points={"a": 6, "b": 6},
    needs_own_network=False,
)
def own_network(evidence: Evidence) -> str:
    """Check that the network is none that the student was given, by its structure."""
    evidence.look()
    evidence.refuse_given_network()
    try:
        evidence.seen("like")
    except SubmissionError as error:
        if error.owner != "own_network":
            raise
        raise NotMadeError(
            f"Its structure could not be told, so it was compared with none. {error.seen}",
            "Instructor: look at by hand whether it is a network that was handed out.",
        ) from error
    return "none of the networks that were handed out has these layers"


@check(
    "The model is small enough",
    expectation=(
        "fewer than {max_parameters:,} numbers that were learnt, wherever they are kept: "
        "parameters, buffers and other tensors (statistics of batch normalisation and up "
        "to {free_constants} constants aside)"
    ),
    points={"a": 8, "b": 8},
)
def parameter_count(evidence: Evidence) -> str:
    """Count the numbers that the program computes with, wherever it keeps them."""
    settings = evidence.settings
    try:
        size = evidence.seen("size")
    except (SubmissionError, NotMadeError):
        _refuse_large_weights(evidence)
        raise
    constants, counted = _constants(size, settings), counted_numbers(size, settings)
    seen = f"{counted:,} learnt numbers"
    if constants:
        seen += f" ({size['parameters']:,} in parameters, {constants:,} elsewhere)"
    if counted >= settings.max_parameters:
        raise SubmissionError(
            "parameter_count",
            f"{seen}.",
            f"Take away at least {counted - settings.max_parameters + 1:,}. Buffers and tensors in "
            "plain lists count as well as parameters, and each byte of a whole number that holds "
            "several; cifar_lab.count_parameters(layer) tells where they are.",
        )
    return seen


def _refuse_large_weights(evidence: Evidence) -> None:
    """Refuse weights that are too many, where there is no model to count: it can't be smaller."""
    stored, most = evidence.stored_weights(), evidence.settings.max_parameters
    if stored.get("numbers", 0) >= most:
        raise SubmissionError(
            "parameter_count",
            f"The stored weights ({stored['file'][:100]}) hold {stored['numbers']:,} numbers.",
            f"Take away at least {stored['numbers'] - most + 1:,}.",
        )


def counted_numbers(size: Mapping[str, int], settings: Settings) -> int:
    """Return how many numbers count towards the limit."""
    constants = _constants(size, settings)
    return size["parameters"] + (constants if constants > settings.free_constants else 0)


def _constants(size: Mapping[str, int], settings: Settings) -> int:
    free_statistics = FREE_STATISTICS * settings.max_parameters
    return size["constants"] + max(0, size["statistics"] - math.floor(free_statistics))


@check(
    "One logit a class for every image",
    expectation="for 1, 2 and 7 images, as many rows of {num_classes} finite numbers",
    points={"a": 4, "b": 4},
)
def output_shape(evidence: Evidence) -> str:
    """Check that each image gets a row of finite logits."""
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


@check(
    "Every parameter gets a gradient",
    expectation=(
        "a gradient that is not zero for each parameter: the output depends on all of them"
    ),
    points={"a": 4, "b": 4},
)
def gradients_everywhere(evidence: Evidence) -> str:
    """Check that no parameter is left without a gradient."""
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


@check(
    "The model can overfit a batch",
    expectation=(
        "a cross-entropy below {overfit_loss} on {overfit_images} images after at most "
        "300 steps of Adam"
    ),
    points={"a": 4, "b": 4},
)
def overfits_one_batch(evidence: Evidence) -> str:
    """Check that the loss on one batch falls."""
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


@check(
    "In eval mode the same images give the same logits",
    expectation=(
        "no difference between two passes (tolerance {twice_tolerance}), and no tensor of "
        "the model changed by them"
    ),
    points={"a": 4, "b": 4},
)
def eval_is_deterministic(evidence: Evidence) -> str:
    """Check that two passes give the same logits and change nothing."""
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


@check(
    "An image's logits don't depend on its batch",
    expectation=(
        "a difference of at most {batch_tolerance:.0e} of the largest logit between an "
        "image alone and among others"
    ),
    points={"a": 4, "b": 4},
)
def independent_of_batch(evidence: Evidence) -> str:
    """Check that an image's logits are the same alone and among others."""
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
