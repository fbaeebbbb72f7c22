"""Checks that the result can be had again: stored weights, their accuracy, and the seeds."""

from __future__ import annotations

import math

import numpy as np

from cifar_lab.grading.checks.check import check
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.reading import report
from cifar_lab.grading.reading.numerals import is_number
from cifar_lab.grading.reading.report import reported_accuracies
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

SEED = 42
MOST_SIZES = 50  # of networks that are looked for beside an accuracy
LIBRARIES = ("random", "numpy", "torch")


@check(
    "The weights are stored and belong to the model",
    expectation=(
        "one file that torch.load(..., weights_only=True) reads, with the tensors of the "
        "model's state_dict"
    ),
    points={"a": 4, "b": 4},
)
def weights_load(evidence: Evidence) -> str:
    """Check that the file holds the model's tensors."""
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
    """Refuse an exported model that is not the one that the notebook builds, where that ran."""
    if evidence.submission.program is None:
        return
    try:
        evidence.ran_to_the_end()  # or else another network may be the last one that it builds
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


@check(
    "The notebook stores the weights and loads them again",
    expectation="torch.save after training, torch.load of it, and only then the test images",
    points={"b": 4},
)
def weights_reloaded(evidence: Evidence) -> str:
    """Check that the weights were stored after training, loaded, and then evaluated."""
    watch = evidence.run()["watch"]
    for name, seen in (
        ("saved_after_training", "No torch.save after the first training step was seen."),
        ("loaded_after_saving", "No torch.load of what was stored was seen."),
        ("tested_after_loading", "After torch.load, the model saw no test images."),
    ):
        if not watch[name]:
            raise evidence.missing(
                "weights_reloaded",
                seen,
                "Store the weights after training, load them into a new model and evaluate that.",
            )
    return "stored, loaded, evaluated"


@check(
    "The reported accuracy is the stored weights' own",
    expectation=(
        "a reported test accuracy within {accuracy_tolerance} points of what the grader "
        "measures with the stored weights"
    ),
    points={"a": 8, "b": 8},
)
def accuracy_agrees(evidence: Evidence) -> str:
    """Compare the reported accuracy with the grader's own measurement."""
    settings, printed = evidence.settings, reported(evidence)
    if not printed:
        raise SubmissionError(
            "accuracy_agrees",
            "No test accuracy is reported.",
            "Evaluate the stored weights in the notebook and print it: "
            "print(f'Test accuracy: {accuracy:.2f} %'), or hand it to cifar_lab.submit.",
        )
    dataset = evidence.submission.manifest.get("dataset", settings.dataset)
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
    if near and (
        printed[-1] < max(measured)
        or _others_were_trained_later(evidence)
        or _stands_beside_another(printed[-1], evidence)
    ):
        return f"reported {near[-1]:.2f} %, measured {_measured_text(measured)}"
    raise SubmissionError(
        "accuracy_agrees",
        f"{seen}.",
        "Print last, as test accuracy, what the stored weights reach: load them again, "
        "model.eval(), all test images, as the notebook's own test loader gives them.",
    )


def reported(evidence: Evidence) -> list[float]:
    """Return the accuracy in the manifest, or else those that the notebook shows, in percent."""
    given = evidence.submission.manifest.get("test_accuracy")
    if is_number(given) and 0 <= given <= 100:
        return [float(given)]
    return reported_accuracies(evidence.cells())


def _measure(logits: np.ndarray, evidence: Evidence) -> float:
    """Return the percentage of the test images whose largest logit is their label's."""
    labels = evidence.test_images().labels
    if logits.shape != (len(labels), evidence.settings.num_classes):
        raise SubmissionError(
            "output_shape", f"Logits of shape {logits.shape}.", "Give one logit for each class."
        )
    return 100 * float((logits.argmax(axis=1) == labels.numpy()).mean())


def _measured_text(measured: list[float]) -> str:
    """Return the accuracy on images in [0, 1], and on normalised ones where the notebook's are."""
    plain, *normalised = measured
    also = "".join(f" ({one:.2f} % on images normalised as the notebook's)" for one in normalised)
    return f"{plain:.2f} %{also}"


def _is_one_of(reported: float, measured: list[float], settings: Settings) -> bool:
    """Return whether the value was measured; a whole number may be rounded, up or down."""
    tolerance = settings.accuracy_tolerance
    if reported.is_integer():
        tolerance = max(tolerance, 1.0)
    return any(abs(reported - one) <= tolerance for one in measured)


def _others_were_trained_later(evidence: Evidence) -> bool:
    """Return whether other networks were trained after the one that is handed in."""
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


def _stands_beside_another(accuracy: float, evidence: Evidence) -> bool:
    """Return whether an accuracy is printed together with the size of another trained network."""
    try:
        optimizers, own = evidence.run()["watch"]["optimizers"], evidence.seen("size")["parameters"]
    except (SubmissionError, NotMadeError):
        return False
    sizes = sorted({own, *(one["parameters"] for one in optimizers)})[:MOST_SIZES]
    for passage in report.passages(evidence.cells()):
        shown = report.percentages(passage)
        is_there = any(math.isclose(one, accuracy) for one in shown)
        if is_there and any(one != own for one in report.counts(passage, sizes)):
            return True
    return False


@check(
    "The seed and the determinism settings are as given",
    expectation=(
        "42 for random, numpy and torch, no other seed later, cuDNN deterministic, benchmark off"
    ),
    points={"b": 4},
)
def seeds_unchanged(evidence: Evidence) -> str:
    """Check that the seed is 42 for all libraries, and that no other is set later."""
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
        raise evidence.missing("seeds_unchanged", f"No seed was set for {names}.", remedy)
    if watch["cudnn_benchmark"] or not watch["cudnn_deterministic"]:
        raise evidence.missing(
            "seeds_unchanged",
            f"In the end cudnn.deterministic is {watch['cudnn_deterministic']}, cudnn.benchmark "
            f"is {watch['cudnn_benchmark']}.",
            remedy,
        )
    return f"{SEED} for {', '.join(LIBRARIES)}"
