"""One training that two processes of torchrun share, compared with that of one process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ranks_script
import torch
from ranks_script import RECIPE, RUNS, TRAIN, draws, mlp, trained
from torch import Tensor

Outcomes = list[dict[str, Any]]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def outcomes(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Outcomes:
    """What each of two processes found; they resume a run that one process began."""
    if request.param == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    ranks_script.DEVICE = request.param
    folder = tmp_path_factory.mktemp("ranks")
    trained(mlp(), TRAIN, replace(RECIPE, epochs=1), checkpoint=folder / "begun.pt")
    script = Path(__file__).with_name("ranks_script.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    ended = subprocess.run(
        [*command, script, folder, request.param], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return [torch.load(folder / f"rank-{rank}.pt") for rank in range(2)]


def difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest relative difference of a tensor."""
    return max(
        float((found[name] - value).norm() / value.norm()) for name, value in expected.items()
    )


def refusal(outcomes: Outcomes, name: str) -> str:
    """Return the error that both processes raised."""
    first, second = (each[name] for each in outcomes)
    assert first == second
    return first


@pytest.mark.parametrize("name", ["mlp", "without norms", "loader"])
def test_two_processes_train_as_one(outcomes: Outcomes, name: str) -> None:
    alone, shared = RUNS[name](), outcomes[0][name]
    rounding = 1e-5 if ranks_script.DEVICE == "cpu" else 1e-3
    assert difference(shared["weights"], alone["weights"]) < rounding
    for found, expected in zip(shared["history"], alone["history"], strict=True):
        for figure in ("train_loss", "validation_loss", "learning_rate"):
            assert found[figure] == pytest.approx(expected[figure], rel=rounding)
        for figure in ("validation_accuracy", "test_accuracy"):  # every image counts once
            assert found[figure] == expected[figure]


@pytest.mark.parametrize("name", [*RUNS, "resumed"])
def test_all_processes_agree_to_the_bit(outcomes: Outcomes, name: str) -> None:
    first, second = (each[name] for each in outcomes)
    assert first["history"] == second["history"]  # the seconds, too
    assert len(first["steps"]) >= 4
    assert first["steps"] == second["steps"]
    for tensor, value in first["weights"].items():
        assert torch.equal(value, second["weights"][tensor]), tensor


def test_norms_are_synchronised_on_gpus_alone(outcomes: Outcomes) -> None:
    alone, shared = RUNS["norms"](), outcomes[0]["norms"]
    losses = [each["history"][0]["train_loss"] for each in (alone, shared)]
    is_same = losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert is_same == (ranks_script.DEVICE == "cuda")


def test_running_statistics_are_those_of_all_images(outcomes: Outcomes) -> None:
    alone, shared = RUNS["norm of images"](), outcomes[0]["norm of images"]
    mean = "0.running_mean"
    torch.testing.assert_close(shared["weights"][mean], alone["weights"][mean], rtol=1e-5, atol=0)


def test_each_process_has_its_own_dropout_the_first_as_one_alone(outcomes: Outcomes) -> None:
    first, second = (each["draws"] for each in outcomes)
    assert first == draws()
    assert not set(first) & set(second)
    assert len(second) == 4


def test_an_overflow_in_one_process_skips_the_step_in_all(outcomes: Outcomes) -> None:
    first, second = (each["overflow"] for each in outcomes)
    assert first == second
    assert len(first["steps"]) == 3  # of four
    assert first["scale"] == 4
    assert first["is_finite"]


def test_two_processes_resume_what_one_began(outcomes: Outcomes) -> None:
    alone = trained(mlp(), TRAIN, replace(RECIPE, epochs=3))
    resumed = outcomes[0]["resumed"]
    assert len(resumed["steps"]) == 2 * 4
    assert difference(resumed["weights"], alone["weights"]) < 1e-5
    assert resumed["history"][-1]["train_loss"] == pytest.approx(
        alone["history"][-1]["train_loss"], rel=1e-5
    )


def test_a_callback_of_one_process_stops_all(outcomes: Outcomes) -> None:
    assert [len(each["stopped"]["history"]) for each in outcomes] == [1, 1]


def test_a_parameter_that_no_process_uses_stays_as_it_is(outcomes: Outcomes) -> None:
    weights, before = outcomes[0]["uneven"]["weights"], torch.ones(10)
    start = RUNS["uneven"].__globals__["Uneven"]().state_dict()
    assert torch.equal(weights["unused.weight"], start["unused.weight"])
    assert not torch.equal(weights["sometimes"], before)  # one process used it


def test_a_batch_needs_two_images_for_each_process(outcomes: Outcomes) -> None:
    text = refusal(outcomes, "small batches")
    assert text.startswith("ValueError: A batch has 3 images, which 2 processes share")


def test_a_wrapped_network_is_refused(outcomes: Outcomes) -> None:
    assert "Give model.module." in refusal(outcomes, "wrapped")


def test_processes_with_other_arguments_are_refused(outcomes: Outcomes) -> None:
    assert "seed is 0 in process 0 and 1 in process 1" in refusal(outcomes, "seeds")
    text = refusal(outcomes, "validation")
    assert "31 of synthetic" in text
    assert "'NoneType' in process 1" in text


def test_a_loader_that_is_shared_already_is_refused(outcomes: Outcomes) -> None:
    assert "Leave out DistributedSampler" in refusal(outcomes, "sampler")


def test_an_error_with_files_reaches_every_process(outcomes: Outcomes) -> None:
    assert "already holds a run" in refusal(outcomes, "existing")


def test_fewer_images_than_processes_are_refused(outcomes: Outcomes) -> None:
    assert "There are 1 images to evaluate on" in refusal(outcomes, "few images")
