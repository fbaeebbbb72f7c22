"""Checks of the training, by what was seen of it when the notebook ran on fake images."""

from __future__ import annotations

from typing import Any

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

# With variant 1 networks seem to begin better than they end, and a notebook that shows mistakes may
# find too few; with variant 2 there are enough, but stopping at some accuracy shows less.
OTHER_TEST_IMAGES = (1, 2)


@check(
    "Every training step starts from cleared gradients",
    expectation=(
        "training steps with a torch.optim optimizer, and gradients that are cleared "
        "between one step and the next"
    ),
    points={"a": 4, "b": 4},
)
def gradients_cleared(evidence: Evidence) -> str:
    """Check that each step's gradients begin at zero."""
    optimizers = _optimizers(evidence)
    for one in optimizers:
        if 2 * one["not_cleared"] > one["looked_at"]:
            raise SubmissionError(
                "gradients_cleared",
                f"In {one['not_cleared']} of {one['looked_at']} steps, gradients of earlier steps "
                "were still there when new ones were added.",
                "Call optimizer.zero_grad() once a step, before loss.backward().",
            )
    return f"{sum(one['steps'] for one in optimizers)} steps of {len(optimizers)} optimizers"


@check(
    "Cross-entropy is given logits",
    expectation="logits in cross_entropy, which takes the softmax itself",
    points={"a": 4, "b": 4},
)
def loss_takes_logits(evidence: Evidence) -> str:
    """Check that there is no softmax before the loss that takes one itself."""
    watch = evidence.run()["watch"]
    if 2 * watch["losses_of_shares"] > watch["losses"]:
        raise SubmissionError(
            "loss_takes_logits",
            f"In {watch['losses_of_shares']} of {watch['losses']} calls cross_entropy was given "
            "numbers from 0 to 1 that add up to 1: a softmax.",
            "Give cross_entropy the model's outputs as they are; it takes the softmax itself.",
        )
    if not watch["losses"]:
        evidence.ran_to_the_end()
    return f"{watch['losses']} losses"


@check(
    "Test images are seen in eval mode",
    expectation=(
        "model.eval() before the model sees test images, wherever it has dropout or batch "
        "normalisation"
    ),
    points={"a": 4, "b": 4},
)
def evaluates_in_eval_mode(evidence: Evidence) -> str:
    """Check that no test image is seen in train mode."""
    batches = evidence.run()["watch"]["test_batches"]
    if batches["train mode"]:
        raise SubmissionError(
            "evaluates_in_eval_mode",
            "Test images went through dropout or batch normalisation in train mode "
            f"({batches['train mode']} times).",
            "Call model.eval() before the evaluation, and model.train() before the next epoch.",
        )
    if not batches["eval mode"]:
        evidence.ran_to_the_end()
        return "no test images seen"
    return "test images in eval mode alone"


@check(
    "The test set took no part in training",
    expectation=(
        "the same weights from the same training, whatever the test images and labels are"
    ),
    points={"a": 8, "b": 8},
)
def test_set_unused(evidence: Evidence) -> str:
    """Check that other test images lead to the same weights."""
    first = evidence.run()
    trained = _optimizers(evidence)
    if (first["error"] or {}).get("time") is True:
        evidence.ran_to_the_end()  # no other run would end at the same step
    if not any(first["watch"]["test_batches"].values()):
        evidence.ran_to_the_end()  # before a cell failed, there was nothing that could be used
    may_choose = evidence.settings.assignment == "a"
    second = _again(evidence, OTHER_TEST_IMAGES)
    if _same(first, second, may_choose):
        return f"the same weights of {len(trained)} training runs with other test images"
    third = _again(evidence, (0,))
    if not _same(first, third, may_choose):
        raise NotMadeError(
            "Two runs of the notebook on the same images gave different weights, so it can't be "
            "told whether the test set took part in training. Something in it draws random "
            "numbers that no seed decides.",
            "Student: call cifar_lab.seed_everything(42) in the first cell. Instructor: look at "
            "by hand whether test images are used before training has ended.",
        )
    steps = [sum(one["steps"] for one in run["watch"]["optimizers"]) for run in (first, second)]
    seen = "With other test images and labels, training left other weights"
    if steps[0] != steps[1]:
        seen += f" ({steps[0]:,} and {steps[1]:,} steps)"
    if first["watch"]["test_batches"]["with gradients"]:
        seen += "; test images went through the model in train mode, with gradients"
    raise SubmissionError(
        "test_set_unused",
        f"{seen}.",
        "Train on training images alone, and choose (the best epoch, when to stop) by a "
        "validation split of them: cifar_lab.split(data.train, seed=...).",
    )


def _optimizers(evidence: Evidence) -> list[dict[str, Any]]:
    optimizers = evidence.run()["watch"]["optimizers"]
    if not optimizers:
        raise evidence.missing(
            "gradients_cleared",
            "No training step with a torch.optim optimizer was seen when the notebook ran.",
            "Train the model in the notebook itself, whatever files lie beside it.",
        )
    return optimizers


def _again(evidence: Evidence, variants: tuple[int, ...]) -> dict[str, Any]:
    """Return one more run that ended where the first did, with the first variant that does.

    Raises:
        NotMadeError: No run did.
    """
    first, why = evidence.run(), ""
    for variant in variants:
        try:
            answer = evidence.run(variant=variant, again=variant == 0)
        except SubmissionError as error:
            why = error.seen.splitlines()[0][:200]
            continue
        if _last_cell(answer) == _last_cell(first):
            return answer
        failed = answer["error"] or first["error"]
        text = failed["text"][:200]
        why = f"cell {failed['cell']} fails in one of both runs: {failed['kind']}: {text}"
    raise NotMadeError(
        "The notebook was run once more, for comparison, and did not end where it ended before: "
        f"{why}",
        "Student: let no cell depend on how good the network is on the test images. Instructor: "
        "look at by hand whether test images are used before training has ended.",
    )


def _last_cell(answer: dict[str, Any]) -> int | None:
    """Return the cell that failed; None where all ran."""
    return None if answer["error"] is None else answer["error"]["cell"]


def _same(one: dict[str, Any], other: dict[str, Any], may_choose: bool) -> bool:
    """Return whether two runs trained to the same weights.

    With `may_choose`, as in assignment A, another of the trained networks may be handed in.
    """

    def digests(run: dict[str, Any]) -> list[str]:
        return [trained["digest"] for trained in run["watch"]["optimizers"]]

    if digests(one) != digests(other):
        return False
    saved = [run["watch"]["saved"] for run in (one, other)]
    for file in saved[0].keys() & saved[1].keys():
        both = {saved[0][file], saved[1][file]}
        if len(both) == 2 and not (may_choose and both <= set(digests(one))):
            return False
    models = [run["model"] for run in (one, other)]
    if not all(model["is_module"] for model in models):
        return True
    if models[0]["digest"] == models[1]["digest"]:
        return True
    trained = digests(one)
    places = {trained.index(model["trained"]) for model in models if model["trained"] in trained}
    return may_choose and (models[0]["shapes"] != models[1]["shapes"] or len(places) == 2)
