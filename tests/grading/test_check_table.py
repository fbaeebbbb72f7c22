"""The table of checks: their order, names, titles, expectations and points."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_lab.grading.checks import table
from cifar_lab.grading.checks.check import check
from cifar_lab.grading.checks.table import CHECKS, checks_of
from cifar_lab.grading.settings import Settings

# Name, title, points in assignment A, points in assignment B (None: not asked for).
TABLE = [
    ("submission_readable", "The submission can be read", 2, 2),
    ("cells_in_order", "The notebook was run from top to bottom", 4, 4),
    ("notebook_runs", "The notebook runs", 6, 6),
    ("model_found", "The model is a torch.nn.Module", 2, 2),
    ("own_network", "The network is your own", 6, 6),
    ("parameter_count", "The model is small enough", 8, 8),
    ("output_shape", "One logit a class for every image", 4, 4),
    ("gradients_everywhere", "Every parameter gets a gradient", 4, 4),
    ("overfits_one_batch", "The model can overfit a batch", 4, 4),
    ("eval_is_deterministic", "In eval mode the same images give the same logits", 4, 4),
    ("independent_of_batch", "An image's logits don't depend on its batch", 4, 4),
    ("gradients_cleared", "Every training step starts from cleared gradients", 4, 4),
    ("loss_takes_logits", "Cross-entropy is given logits", 4, 4),
    ("evaluates_in_eval_mode", "Test images are seen in eval mode", 4, 4),
    ("test_set_unused", "The test set took no part in training", 8, 8),
    ("weights_load", "The weights are stored and belong to the model", 4, 4),
    ("weights_reloaded", "The notebook stores the weights and loads them again", None, 4),
    ("accuracy_agrees", "The reported accuracy is the stored weights' own", 8, 8),
    ("seeds_unchanged", "The seed and the determinism settings are as given", None, 4),
    ("time_within_limit", "Training took no longer than it may", 2, 2),
    ("iterations_reported", "At least two iterations are reported", 8, None),
    ("findings_written", "Iterations and findings are described in your own words", 10, None),
    ("choices_discussed", "The five choices are discussed in your own words", None, 10),
]
EXPECTATIONS = {
    "submission_readable": (
        "a folder with one Jupyter notebook (format 4) that has code cells, and where "
        "there is a submission.json, one that cifar_lab.submit wrote"
    ),
    "cells_in_order": (
        "execution counts 1, 2, 3, ... down the notebook, every code cell run, no error shown"
    ),
    "notebook_runs": (
        "every cell runs without an error on a small set of fake images, all of them "
        "together within {run_minutes:.0f} minutes"
    ),
    "model_found": (
        "a torch.nn.Module, handed over with cifar_lab.submit or left in the variable "
        "`model`, that torch.export can turn into a program"
    ),
    "own_network": (
        "a network whose layers differ from those of every network in the library and in the "
        "notebooks, whatever their names"
    ),
    "parameter_count": (
        "fewer than {max_parameters:,} numbers that were learnt, wherever they are "
        "kept: parameters, buffers and other tensors (statistics of batch normalisation "
        "and up to {free_constants} constants aside)"
    ),
    "output_shape": "for 1, 2 and 7 images, as many rows of {num_classes} finite numbers",
    "gradients_everywhere": (
        "a gradient that is not zero for each parameter: the output depends on all of them"
    ),
    "overfits_one_batch": (
        "a cross-entropy below {overfit_loss} on {overfit_images} images after at most "
        "300 steps of Adam"
    ),
    "eval_is_deterministic": (
        "no difference between two passes (tolerance {twice_tolerance}), and no tensor "
        "of the model changed by them"
    ),
    "independent_of_batch": (
        "a difference of at most {batch_tolerance:.0e} of the largest logit between an "
        "image alone and among others"
    ),
    "gradients_cleared": (
        "training steps with a torch.optim optimizer, and gradients that are cleared "
        "between one step and the next"
    ),
    "loss_takes_logits": "logits in cross_entropy, which takes the softmax itself",
    "evaluates_in_eval_mode": (
        "model.eval() before the model sees test images, wherever it has dropout or "
        "batch normalisation"
    ),
    "test_set_unused": (
        "the same weights from the same training, whatever the test images and labels are"
    ),
    "weights_load": (
        "one file that torch.load(..., weights_only=True) reads, with the tensors of "
        "the model's state_dict"
    ),
    "weights_reloaded": (
        "torch.save after training, torch.load of it, and only then the test images"
    ),
    "accuracy_agrees": (
        "a reported test accuracy within {accuracy_tolerance} points of what the grader "
        "measures with the stored weights"
    ),
    "seeds_unchanged": (
        "42 for random, numpy and torch, no other seed later, cuDNN deterministic, benchmark off"
    ),
    "time_within_limit": (
        "at most {max_minutes:.0f} minutes by the recorded history, or by the "
        "notebook's own record of its cells"
    ),
    "iterations_reported": (
        "at least {min_iterations} networks of your own, each with its name, its parameters and "
        "its test accuracy in one line, table row or paragraph; trained in this notebook; with "
        "the accuracy that the notebook's output shows"
    ),
    "findings_written": (
        "at least {min_words} words of your own on each of two iterations and on the findings, "
        "under a heading each; a part with fewer words earns its third in proportion"
    ),
    "choices_discussed": (
        "under a heading each, at least {min_words} words of your own on model "
        "architecture, hyperparameters, regularisation, optimizer and validation "
        "scheme; a topic with fewer words earns its fifth in proportion"
    ),
}


def test_order_titles_and_points_stay() -> None:
    found = [
        (each.name, each.title, each.points.get("a"), each.points.get("b"))
        for each in CHECKS.values()
    ]
    assert found == TABLE


def test_expectations_stay() -> None:
    assert {each.name: each.expectation for each in CHECKS.values()} == EXPECTATIONS


@pytest.mark.parametrize("assignment", ["a", "b"])
def test_points_add_up_to_100(assignment: str) -> None:
    assert sum(checks_of(Settings(assignment)).values()) == 100


def test_the_readme_has_all_points() -> None:
    text = (Path(table.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for _, title, *points in TABLE:
        cells = ["" if each is None else str(each) for each in points]
        assert f"| {title} | {' | '.join(cells)} |".replace("|  |", "| |") in text


def test_what_a_given_network_shows_counts_for_the_notebook_and_the_words_alone() -> None:
    counting = [each.name for each in CHECKS.values() if not each.needs_own_network]
    notebook, words = counting[:3], counting[4:]
    assert notebook == ["submission_readable", "cells_in_order", "notebook_runs"]
    assert counting[3] == "own_network"
    assert words == ["iterations_reported", "findings_written", "choices_discussed"]


@pytest.mark.parametrize(("assignment", "column"), [("a", 2), ("b", 3)])
def test_an_assignment_has_the_checks_that_ask_for_it(assignment: str, column: int) -> None:
    found = [(each.name, points) for each, points in checks_of(Settings(assignment)).items()]
    assert found == [(row[0], row[column]) for row in TABLE if row[column] is not None]


def test_points_of_the_settings_replace_the_tables_and_0_leaves_a_check_out() -> None:
    settings = Settings("a", points={"model_found": 0, "output_shape": 7, "weights_reloaded": 3})
    points = {each.name: value for each, value in checks_of(settings).items()}
    assert points["output_shape"] == 7
    assert "model_found" not in points
    assert "weights_reloaded" not in points  # which assignment A does not ask for


def test_points_for_an_unknown_check_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown check 'modl_found'.*'model_found'"):
        checks_of(Settings("a", points={"modl_found": 3}))


def test_expectations_name_the_settings_values() -> None:
    settings = Settings("b", max_minutes=45, min_words=50)
    assert "at most 45 minutes" in CHECKS["time_within_limit"].expected(settings)
    assert "at least 50 words" in CHECKS["choices_discussed"].expected(settings)
    assert "rows of 100 finite numbers" in CHECKS["output_shape"].expected(
        Settings("b", dataset="cifar100")
    )


def test_a_declared_function_is_a_check_of_its_name() -> None:
    @check("The sky is blue", expectation="a blue sky", points={"a": 1})
    def sky(evidence: object) -> str:
        return f"seen by {evidence}"

    assert (sky.name, sky.points) == ("sky", {"a": 1})
    assert sky("me") == "seen by me"  # type: ignore[arg-type]
