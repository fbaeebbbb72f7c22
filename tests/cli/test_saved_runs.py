"""Saved runs on the command line: of custom networks, with other epochs, interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

import cifar_lab
from cifar_lab.cli.main import main
from cifar_lab.cli.saved_runs import grouped
from cifar_lab.data.image_set import Data
from cifar_lab.experiments.catalog import ASSIGNMENT_A_RECIPE, Experiment
from cifar_lab.experiments.published import load_published
from cifar_lab.experiments.results import Result
from cifar_lab.training.recipe import Recipe

Captured = pytest.CaptureFixture[str]
SHORT = ASSIGNMENT_A_RECIPE.with_epochs(1)
CODE = """
from torch import nn
class Mine(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(3072, 10))
def two(): return 2
instance = Mine()
"""


@pytest.fixture
def runs(
    tmp_path: Path, data: Data, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> list[Result]:
    """Two runs of a custom network in `runs`, the folder in which the commands run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cifar_lab.data.datasets.load", lambda name, root=None: data)
    Path("mine.py").write_text(CODE)

    def mine() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))

    experiment = Experiment("mine", "synthetic", mine, recipe, "My network")
    return [cifar_lab.run(experiment, seed=seed, data=data, progress=False) for seed in (0, 1)]


def rows(text: str) -> list[list[str]]:
    """Return the cells of a Markdown table's rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize("words", [["runs/mine"], ["mine"], ["runs"], ["runs/mine/", "runs"]])
def test_a_custom_network_s_runs_are_in_the_table(
    words: list[str], runs: list[Result], capsys: Captured
) -> None:
    assert main(["table", *words]) == 0
    (row,) = rows(capsys.readouterr().out)
    mean = sum(run.test_accuracy for run in runs) / 2
    assert row[0] == "My network" and row[1] == f"{3072 * 10 + 10:,}"
    assert row[4].startswith(f"{mean:.2f} ± ") and row[-1] == "0-1"


def test_a_custom_network_s_run_is_measured_by_its_folder(
    runs: list[Result], capsys: Captured
) -> None:
    command = ["evaluate", "runs/mine/seed-1", "--device", "cpu"]
    assert main([*command, "--model", "mine.py:Mine"]) == 0
    printed = capsys.readouterr().out
    assert f"30,730 parameters, test accuracy {runs[1].test_accuracy:.2f} %" in printed
    assert "The run itself measured the same." in printed
    assert main([*command, "--model", "mine.py:instance"]) == 0
    assert (
        main(["evaluate", "runs/mine/seed-1/weights.pt", *command[2:], "--model", "mine.py:Mine"])
        == 0
    )
    assert capsys.readouterr().out.endswith(printed)


@pytest.mark.parametrize(
    ("folder", "model", "message"),
    [
        ("runs/mine/seed-0", None, "evaluate runs/mine/seed-0 --model FILE.py:CLASS"),
        ("runs/mine/seed-0", "mine.py", "expected a Python file and a class in it"),
        ("runs/mine/seed-0", "mine.ipynb:Mine", "Copy a class from a notebook"),
        ("runs/mine/seed-0", "other.py:Mine", "No file at other.py"),
        ("runs/mine/seed-0", "mine.py:Yours", "mine.py has no Yours"),
        ("runs/mine/seed-0", "mine.py:two", "two returned a int; expected a network"),
        ("runs/mine/seed-0", "bad.py:Mine", "bad.py can't be executed: ZeroDivisionError"),
        ("runs/mine", "mine.py:Mine", "not the folder of one run. Those below it: runs/mine/s"),
        ("cifar10-mlp", "mine.py:Mine", "--model goes with the folder of a run"),
        ("runs/nothing", "mine.py:Mine", "Unknown experiment or folder 'runs/nothing'"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_a_run_that_can_not_be_measured_is_one_message(
    folder: str, model: str | None, message: str, capsys: Captured
) -> None:
    Path("bad.py").write_text("1 / 0")
    assert main(["evaluate", folder, *([] if model is None else ["--model", model])]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.usefixtures("runs")
def test_a_library_network_s_run_is_measured_by_its_folder_alone(
    data: Data, recipe: Recipe, capsys: Captured
) -> None:
    result = cifar_lab.run("cifar10-mlp", data=data, recipe=recipe, progress=False)
    assert main(["evaluate", "runs/cifar10-mlp/seed-0", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert f"308,310 parameters, test accuracy {result.test_accuracy:.2f} %" in printed


def test_runs_below_a_folder_are_listed_also_interrupted_ones(
    runs: list[Result], data: Data, recipe: Recipe, capsys: Captured
) -> None:
    def stop(progress: cifar_lab.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cifar_lab.run(
            "cifar10-mlp", data=data, recipe=recipe, progress=False, callback=stop, seed=4
        )
    assert main(["list", "runs"]) == 0
    table = capsys.readouterr().out.partition("\n\n")[0]
    lines = [re.split(r"  +", line.strip()) for line in table.splitlines()[1:]]
    assert [line[:2] for line in lines] == [
        ["runs/cifar10-mlp/seed-4", "interrupted"],
        ["runs/mine/seed-0", "My network"],
        ["runs/mine/seed-1", "My network"],
    ]
    assert "1 of 2" in lines[0]
    assert lines[1][2:5] == ["synthetic", "30,730", "2"]
    assert lines[1][-1] == f"{runs[0].test_accuracy:.2f}"
    assert main(["list", "nowhere"]) == 1
    assert "There are no runs below nowhere" in capsys.readouterr().err
    assert main(["evaluate", "runs/cifar10-mlp/seed-4"]) == 1
    assert "was interrupted" in capsys.readouterr().err


def test_runs_with_other_epochs_have_rows_of_their_own(
    make_result: Callable[..., Result], tmp_path: Path, capsys: Captured
) -> None:
    kinds = [(0, 40.0, ASSIGNMENT_A_RECIPE), (1, 44.0, ASSIGNMENT_A_RECIPE), (2, 20.0, SHORT)]
    kinds += [(3, 60.0, ASSIGNMENT_A_RECIPE.with_epochs(9))]
    changed = replace(ASSIGNMENT_A_RECIPE, learning_rate=0.5)
    for seed, accuracy, recipe in [*kinds, (4, 10.0, changed)]:
        folder = tmp_path / "cifar10-mlp" / f"seed-{seed}"
        result = make_result(accuracy, seed=seed, recipe=recipe, training_flops=1e12)
        result.save(folder / "result.json")
    figures = tmp_path / "figures.json"
    command = ["table", "cifar10-mlp", "--out", str(tmp_path)]
    assert main([*command, "--json", str(figures)]) == 0
    printed = capsys.readouterr().out
    assert [(row[0], row[4], row[-1]) for row in rows(printed)] == [
        ("SimpleMLP, 9 epochs", "60.00", "3"),
        ("SimpleMLP", "42.00 ± 2.83", "0-1"),
        ("SimpleMLP, 1 epoch", "20.00", "2"),
    ]
    assert "Left out: 1 result of another recipe or network" in printed
    assert f"cifar-lab table {tmp_path / 'cifar10-mlp'}" in printed
    assert [list(one.test_accuracies) for one in load_published(figures)] == [[0, 1]]
    assert main(["table", str(tmp_path / "cifar10-mlp")]) == 0
    titles = [row[0] for row in rows(capsys.readouterr().out)]
    assert titles == [
        "SimpleMLP",
        "SimpleMLP, 1 epoch",
        "SimpleMLP, 9 epochs",
        "SimpleMLP (2)",
    ], "in the order of the seeds, each kind under a name of its own"


def test_of_several_runs_of_a_seed_the_last_counts(make_result: Callable[..., Result]) -> None:
    results = [make_result(accuracy, seed=0) for accuracy in (30.0, 50.0)]
    results += [make_result(10.0, seed=1, dataset="synthetic")]
    groups = list(grouped(results).values())
    assert [[run.test_accuracy for run in group] for group in groups] == [[50.0], [10.0]]
