"""What the checks make of a notebook in which a cell failed: they judge by what ran before it."""

from __future__ import annotations

from typing import Any

import pytest

from cifar_lab.grading.checks.table import CHECKS
from cifar_lab.grading.notebook_run import NotebookRun
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError


class Runs:
    """Evidence whose runs' answers are given, by variant."""

    missing = NotebookRun.missing

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = answers
        self.settings = type("Settings", (), {"assignment": "b"})()

    def run(self, variant: int = 0, again: bool = False) -> dict[str, Any]:
        return self.answers[variant]

    def ran_to_the_end(self) -> dict[str, Any]:
        if self.answers[0]["error"] is not None:
            raise SubmissionError("notebook_runs", "A cell failed.", "Fix it.")
        return self.answers[0]


def answer(failing_cell: int | None = None, weights: str = "abc", **watch: Any) -> dict[str, Any]:
    optimizer = {"steps": 6, "looked_at": 5, "not_cleared": 0, "digest": weights}
    error = {"cell": failing_cell, "kind": "IndexError", "text": "list index out of range"}
    seen = {
        "optimizers": [optimizer],
        "saved": {},
        "test_batches": {"eval mode": 3, "train mode": 0, "with gradients": 0},
        "losses": 6,
        "losses_of_shares": 0,
        "seeds": [["random", 42], ["numpy", 42], ["torch", 42]],
        "cudnn_deterministic": True,
        "cudnn_benchmark": False,
        "saved_after_training": True,
        "loaded_after_saving": True,
        "tested_after_loading": True,
    }
    return {
        "error": None if failing_cell is None else error,
        "watch": seen | watch,
        "model": {"is_module": False},
    }


TRAINING_CHECKS = (
    "gradients_cleared",
    "loss_takes_logits",
    "evaluates_in_eval_mode",
    "test_set_unused",
    "weights_reloaded",
    "seeds_unchanged",
)


@pytest.mark.parametrize("check", TRAINING_CHECKS)
def test_a_cell_that_fails_late_costs_no_other_check(check: str) -> None:
    runs = Runs(answer(21), answer(21))
    CHECKS[check](runs)
    with pytest.raises(SubmissionError, match="A cell failed"):
        CHECKS["notebook_runs"](runs)  # type: ignore[arg-type]


MISSING: dict[str, dict[str, Any]] = {
    "gradients_cleared": {"optimizers": []},
    "loss_takes_logits": {"losses": 0},
    "evaluates_in_eval_mode": {
        "test_batches": {"eval mode": 0, "train mode": 0, "with gradients": 0}
    },
    "test_set_unused": {"test_batches": {"eval mode": 0, "train mode": 0, "with gradients": 0}},
    "weights_reloaded": {"loaded_after_saving": False},
    "seeds_unchanged": {"seeds": [["random", 42]]},
}


@pytest.mark.parametrize("check", TRAINING_CHECKS)
def test_what_may_come_behind_the_failing_cell_is_not_called_missing(check: str) -> None:
    failing = answer(2, **MISSING[check])
    with pytest.raises(SubmissionError) as error:
        CHECKS[check](Runs(failing, failing))
    assert error.value.owner == "notebook_runs"


WRONG: dict[str, dict[str, Any]] = {
    "loss_takes_logits": {"losses_of_shares": 6},
    "evaluates_in_eval_mode": {
        "test_batches": {"eval mode": 0, "train mode": 3, "with gradients": 0}
    },
    "seeds_unchanged": {"seeds": [["random", 7]]},
}


@pytest.mark.parametrize("check", WRONG)
def test_what_is_wrong_before_the_failing_cell_fails_all_the_same(check: str) -> None:
    with pytest.raises(SubmissionError) as error:
        CHECKS[check](Runs(answer(2, **WRONG[check])))
    assert error.value.owner == check


def test_runs_that_end_at_different_cells_are_not_compared() -> None:
    with pytest.raises(NotMadeError, match="cell 5 fails in one of both runs"):
        CHECKS["test_set_unused"](Runs(answer(), answer(5), answer(5)))  # type: ignore[arg-type]
    # Where the notebook only finds too few mistakes to show, the third kind of images is enough.
    CHECKS["test_set_unused"](Runs(answer(), answer(5), answer()))  # type: ignore[arg-type]
    with pytest.raises(SubmissionError, match="other weights"):
        CHECKS["test_set_unused"](Runs(answer(), answer(5), answer(None, "d")))  # type: ignore[arg-type]
