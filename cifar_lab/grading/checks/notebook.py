"""The checks that run the notebook on a stand-in and watch its training."""

from __future__ import annotations

from typing import Any

from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

SEED = 42
LIBRARIES = ("random", "numpy", "torch")
# With variant 1 networks seem to begin better than they end, and a notebook that shows mistakes may
# find too few; with variant 2 there are enough, but it tells less of who stops at some accuracy.
OTHER_TEST_IMAGES = (1, 2)


def notebook_runs(evidence: Evidence) -> str:
    """All cells ran."""
    evidence.ran_to_the_end()
    return f"all {sum(cell.runs for cell in evidence.cells())} code cells ran"


def _missing(evidence: Evidence, owner: str, seen: str, remedy: str) -> SubmissionError:
    """The error for what was not seen, unless that is so because a cell failed before.

    Raises:
        SubmissionError: of `notebook_runs`: a cell failed, and what is missing may come behind it.
    """
    evidence.ran_to_the_end()
    return SubmissionError(owner, seen, remedy)


def _optimizers(evidence: Evidence) -> list[dict[str, Any]]:
    optimizers = evidence.run()["watch"]["optimizers"]
    if not optimizers:
        raise _missing(
            evidence,
            "gradients_cleared",
            "No training step with a torch.optim optimizer was seen when the notebook ran.",
            "Train the model in the notebook itself, whatever files lie beside it.",
        )
    return optimizers


def gradients_cleared(evidence: Evidence) -> str:
    """Each step's gradients begin at zero."""
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


def loss_takes_logits(evidence: Evidence) -> str:
    """No softmax before the loss that brings its own."""
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


def evaluates_in_eval_mode(evidence: Evidence) -> str:
    """No test image is seen in train mode."""
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


def test_set_unused(evidence: Evidence) -> str:
    """Other test images, the same weights."""
    first = evidence.run()
    trained = _optimizers(evidence)
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
        seen += f" ({steps[0]:,} steps with the ones, {steps[1]:,} with the others)"
    if first["watch"]["test_batches"]["with gradients"]:
        seen += "; test images went through the model in train mode, with gradients"
    raise SubmissionError(
        "test_set_unused",
        f"{seen}.",
        "Train on training images alone, and choose (the best epoch, when to stop) by a "
        "validation split of them: cifar_lab.split(data.train, seed=...).",
    )


test_set_unused.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test by itself


def _again(evidence: Evidence, variants: tuple[int, ...]) -> dict[str, Any]:
    """One more run, which ended where the first did: with the first variant in which that is so.

    Raises:
        NotMadeError: it did not in any.
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
    """The cell that failed; None where all ran."""
    return None if answer["error"] is None else answer["error"]["cell"]


def _same(one: dict[str, Any], other: dict[str, Any], may_choose: bool) -> bool:
    """Whether two runs trained to the same weights.

    With `may_choose`, as assignment A lets one, another of the trained networks may be handed in.
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


def weights_reloaded(evidence: Evidence) -> str:
    """Stored after training, loaded, then evaluated."""
    watch = evidence.run()["watch"]
    for name, seen in (
        ("saved_after_training", "No torch.save after the first training step was seen."),
        ("loaded_after_saving", "No torch.load of what was stored was seen."),
        ("tested_after_loading", "After torch.load, the model saw no test images."),
    ):
        if not watch[name]:
            raise _missing(
                evidence,
                "weights_reloaded",
                seen,
                "Store the weights after training, load them into a new model and evaluate that.",
            )
    return "stored, loaded, evaluated"


def seeds_unchanged(evidence: Evidence) -> str:
    """42 for all, and nothing else later."""
    watch = evidence.run()["watch"]
    remedy = (
        "Leave the cell with the seeds as it is (or call cifar_lab.seed_everything(42) once), and "
        "set no other seed later; a torch.Generator of your own may have any."
    )
    for library, value in watch["seeds"]:
        if value != SEED:
            raise SubmissionError(
                "seeds_unchanged", f"{library} was given the seed {value}.", remedy
            )
    missing = set(LIBRARIES) - {library for library, _ in watch["seeds"]}
    if missing:
        names = ", ".join(sorted(missing))
        raise _missing(evidence, "seeds_unchanged", f"No seed was set for {names}.", remedy)
    if watch["cudnn_benchmark"] or not watch["cudnn_deterministic"]:
        raise _missing(
            evidence,
            "seeds_unchanged",
            f"In the end cudnn.deterministic is {watch['cudnn_deterministic']}, cudnn.benchmark "
            f"is {watch['cudnn_benchmark']}.",
            remedy,
        )
    return f"{SEED} for {', '.join(LIBRARIES)}"
