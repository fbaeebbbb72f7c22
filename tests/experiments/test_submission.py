"""Handing in from a notebook: what is written, and what an export can be relied on for."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import cifar_lab
from cifar_lab.experiments.results import Result
from cifar_lab.experiments.submission import MANIFEST, PROGRAM, WEIGHTS_FILE
from cifar_lab.experiments.submission_records import history_records, iteration_records
from cifar_lab.training.history import EpochRecord


@pytest.fixture
def result(make_result: Callable[..., Result]) -> Result:
    model = cifar_lab.build_model("skeleton").eval()
    return make_result(51.5, model=model, model_name="skeleton", parameters=42_362)


def test_a_result_brings_everything_along(result: Result, tmp_path: Path) -> None:
    folder = cifar_lab.submit(result, assignment="a", iterations=[result], out=tmp_path / "mine")
    content = json.loads((folder / MANIFEST).read_text())
    assert content["test_accuracy"] == 51.5
    assert content["test_uses"] == 3
    assert [epoch["seconds"] for epoch in content["history"]] == [1.5, 1.5]
    assert content["recipe"] == result.recipe.to_dict()
    assert content["iterations"] == [
        {"title": "SimpleMLP", "parameters": 42_362, "test_accuracy": 51.5}
    ]
    stored = torch.load(folder / WEIGHTS_FILE, weights_only=True)
    assert stored.keys() == result.model.state_dict().keys()


def test_a_custom_module_needs_its_accuracy(tmp_path: Path) -> None:
    model = cifar_lab.SimpleMLP()
    with pytest.raises(ValueError, match="test_accuracy"):
        cifar_lab.submit(model, assignment="a", out=tmp_path)
    cifar_lab.submit(model, assignment="a", test_accuracy=10.0, out=tmp_path)
    assert json.loads((tmp_path / MANIFEST).read_text())["history"] == []


def test_submitting_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    model = cifar_lab.build_model("resnet-small").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cifar_lab.submit(model, assignment="a", test_accuracy=10.0, out=tmp_path)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_that_can_not_be_exported_is_submitted_without_a_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Picky(cifar_lab.SimpleMLP):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images if images.sum() > 0 else -images)

    cifar_lab.submit(Picky(), assignment="a", test_accuracy=10.0, out=tmp_path)
    assert not (tmp_path / PROGRAM).exists()
    assert "could not be written" in capsys.readouterr().out


def test_the_notebook_goes_into_the_folder(
    result: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebook = tmp_path / "work.ipynb"
    notebook.write_text("{}")
    folder = tmp_path / "mine"
    for name in ("JPY_SESSION_NAME", "CIFAR_LAB_NOTEBOOK"):
        monkeypatch.delenv(name, raising=False)
    cifar_lab.submit(result, assignment="a", out=folder)
    assert "Save this notebook and put it in that folder" in capsys.readouterr().out
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook))
    cifar_lab.submit(result, assignment="a", out=folder)
    assert [path.name for path in folder.glob("*.ipynb")] == ["work.ipynb"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        cifar_lab.submit(result, assignment="a", notebook="nowhere.ipynb", out=folder)


def test_only_a_notebook_that_was_copied_in_before_is_taken_out_again(
    result: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("JPY_SESSION_NAME", "CIFAR_LAB_NOTEBOOK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("first.ipynb", "second.ipynb"):
        (tmp_path / name).write_text(name)
    folder = tmp_path / "mine"

    def notebooks_after(notebook: str | None) -> dict[str, str]:
        path = None if notebook is None else tmp_path / notebook
        cifar_lab.submit(result, assignment="a", notebook=path, out=folder)
        return {path.name: path.read_text() for path in folder.glob("*.ipynb")}

    assert notebooks_after("first.ipynb") == {"first.ipynb": "first.ipynb"}
    assert notebooks_after("second.ipynb") == {"second.ipynb": "second.ipynb"}
    assert notebooks_after(None) == {"second.ipynb": "second.ipynb"}
    assert "Take second.ipynb out of it" in capsys.readouterr().out
    assert notebooks_after("first.ipynb") == {"first.ipynb": "first.ipynb"}
    assert notebooks_after("second.ipynb") == {"second.ipynb": "second.ipynb"}
    (folder / "by_hand.ipynb").write_text("mine")
    capsys.readouterr()
    kept = {"by_hand.ipynb": "mine", "second.ipynb": "second.ipynb"}
    assert notebooks_after("second.ipynb") == kept
    assert "holds by_hand.ipynb and second.ipynb; leave only" in capsys.readouterr().out
    # The working folder itself: the notebook lies there and is no copy.
    cifar_lab.submit(result, assignment="a", notebook=tmp_path / "first.ipynb", out=tmp_path)
    cifar_lab.submit(result, assignment="a", notebook=tmp_path / "second.ipynb", out=tmp_path)
    assert {path.name for path in tmp_path.glob("*.ipynb")} == {"first.ipynb", "second.ipynb"}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"assignment": "c"}, ValueError, "Unknown assignment 'c'"),
        ({"result": "weights.pt"}, TypeError, "torch.nn.Module"),
    ],
)
def test_what_can_not_be_handed_in_is_named(
    wrong: dict[str, str], error: type[Exception], message: str, result: Result, tmp_path: Path
) -> None:
    arguments = {"result": result, "assignment": "a", "out": tmp_path, **wrong}
    with pytest.raises(error, match=message):
        cifar_lab.submit(arguments.pop("result"), **arguments)


def test_check_submission_says_what_is_open_and_what_passed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("JPY_SESSION_NAME", "CIFAR_LAB_NOTEBOOK"):
        monkeypatch.delenv(name, raising=False)
    folder = cifar_lab.submit(linear(), assignment="a", test_accuracy=50.0, out=tmp_path / "mine")
    cifar_lab.check_submission(folder, data_folder=tmp_path / "nowhere")
    shown = capsys.readouterr().out
    assert "10 checks wait: Your notebook's file is not in the folder yet" in shown, "told once"
    assert "✓" in shown
    assert "not on this machine" in shown
    assert "A question mark is open" in shown


# ---- all or nothing


@pytest.fixture
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JPY_SESSION_NAME", "CIFAR_LAB_NOTEBOOK"):
        monkeypatch.delenv(name, raising=False)


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class WithState(nn.Flatten):
    """A layer that keeps what no file of weights can hold."""

    def get_extra_state(self) -> Any:
        return Path("here")


@pytest.mark.usefixtures("no_notebook")
def test_an_accuracy_below_one_percent_that_the_run_measured_is_no_share(
    result: Result, tmp_path: Path
) -> None:
    by_chance = replace(result, test_accuracy=0.98)
    folder = cifar_lab.submit(by_chance, assignment="b", test_accuracy=0.98, out=tmp_path)
    assert json.loads((folder / MANIFEST).read_text())["test_accuracy"] == 0.98
    with pytest.raises(ValueError, match=r"test_accuracy is 0\.515; expected percent"):
        cifar_lab.submit(result, assignment="a", test_accuracy=0.515, out=tmp_path)


@pytest.mark.usefixtures("no_notebook")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"history": 1.5}, "history is a float; expected one record per epoch"),
        ({"history": [{"loss": nn.ReLU()}]}, "Entry 1 of history has a ReLU as its loss"),
        ({"history": {"loss": [1.5, 1.2], "seconds": [3]}}, "columns of different lengths"),
        (
            {"iterations": [61.5]},
            "Entry 1 of iterations is a float; expected one record per network",
        ),
        ({"recipe": "adam"}, "recipe is a str; expected a cifar_lab.Recipe"),
        ({"test_accuracy": torch.ones(2)}, "test_accuracy is tensor.*; expected a number"),
        ({"test_accuracy": 0.57}, "test_accuracy is 0.57; expected percent"),
        ({"notebook": "nowhere.ipynb"}, "There is no notebook nowhere.ipynb"),
        ({"result": nn.Sequential(WithState(), nn.Linear(3072, 10))}, "can't be saved.*PosixPath"),
    ],
)
def test_an_error_leaves_the_submission_before(
    wrong: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"assignment": "a", "test_accuracy": 33, "out": tmp_path / "mine"}
    folder = cifar_lab.submit(linear(), **arguments)
    before = contents(folder)
    arguments |= {"result": linear()} | wrong
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        cifar_lab.submit(arguments.pop("result"), **arguments)
    assert contents(folder) == before
    with pytest.raises((TypeError, ValueError, OSError), match=message):
        model = wrong.get("result", linear())
        cifar_lab.submit(model, **{**arguments, "out": tmp_path / "new"})
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_notebook")
def test_a_folder_that_can_not_be_written_keeps_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cifar_lab.submit(linear(), assignment="a", test_accuracy=33, out=tmp_path / "mine")
    before = contents(folder)
    replace = Path.replace

    def fail_at_the_manifest(self: Path, target: Any) -> Path:
        if Path(target).name == MANIFEST and b'"test_accuracy": 50' in self.read_bytes():
            raise PermissionError("the file is open in another program")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_at_the_manifest)
    with pytest.raises(PermissionError, match="another program"):
        cifar_lab.submit(linear(), assignment="a", test_accuracy=50, out=folder)
    assert contents(folder) == before


@pytest.mark.usefixtures("no_notebook")
def test_the_manifest_knows_its_files(tmp_path: Path) -> None:
    folder = cifar_lab.submit(linear(), assignment="a", test_accuracy=33, out=tmp_path)
    noted = json.loads((folder / MANIFEST).read_text())["files"]
    assert noted == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (WEIGHTS_FILE, PROGRAM)
    }


@pytest.mark.usefixtures("no_notebook")
@pytest.mark.parametrize(
    "wrap",
    [nn.DataParallel, AveragedModel, lambda model: torch.compile(model, backend="eager")],
    ids=["parallel", "averaged", "compiled"],
)
def test_a_wrapped_model_is_handed_in_as_the_network_inside(wrap: Any, tmp_path: Path) -> None:
    model = linear()
    folder = cifar_lab.submit(wrap(model), assignment="a", test_accuracy=33, out=tmp_path)
    stored = torch.load(folder / WEIGHTS_FILE, weights_only=True)
    assert list(stored) == list(model.state_dict())
    program = torch.export.load(folder / PROGRAM)
    assert list(program.state_dict) == list(model.state_dict())
    content = json.loads((folder / MANIFEST).read_text())
    assert (content["model_class"], content["parameters"]) == ("Sequential", 30_730)


class Keeps(nn.Module):
    """A network that keeps an activation: `copy.deepcopy` refuses it once it has run."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3072, 16), nn.Linear(16, 10)
        self.last: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = torch.relu(self.one(x.view(len(x), -1)))
        return self.two(self.last)


@pytest.mark.usefixtures("no_notebook")
def test_a_model_that_can_not_be_copied_is_handed_in_and_stays_as_it_is(tmp_path: Path) -> None:
    model = Keeps()
    model(torch.rand(2, 3, 32, 32)).sum().backward()
    kept, gradient = model.last, model.one.weight.grad
    parameters = list(map(id, model.parameters()))
    folder = cifar_lab.submit(model, assignment="a", test_accuracy=33, out=tmp_path)
    assert (folder / PROGRAM).exists()
    assert model.last is kept and model.one.weight.grad is gradient and model.training
    assert list(map(id, model.parameters())) == parameters


# ---- records

EPOCHS = [{"epoch": 1, "loss": 1.5}, {"epoch": 2, "loss": 0.1}]
LOSSES = [{"epoch": 1, "train_loss": 1.5}, {"epoch": 2, "train_loss": 0.1}]


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (None, []),
        ([], []),
        ({}, []),
        (EPOCHS, EPOCHS),
        ([{"loss": np.float32(1.5)}, {"loss": torch.tensor([0.1])}], EPOCHS),
        ({"loss": [1.5, 0.1]}, EPOCHS),
        ({"loss": np.array([1.5, 0.1]), "epoch": (1, 2)}, EPOCHS),
        ({"loss": {0: 1.5, 1: 0.1}, "epoch": {0: 1, 1: 2}}, EPOCHS),  # as pandas gives it
        ({0: {"loss": 1.5}, 1: {"loss": 0.1}}, EPOCHS),  # by the index
        ({"epoch": np.int64(1), "loss": 1.5}, EPOCHS[:1]),
        ([1.5, 0.1], LOSSES),
        (iter([np.float32(1.5), torch.tensor(0.1, requires_grad=True)]), LOSSES),
        (np.array([1.5, 0.1]), LOSSES),
        ({1: 1.5, 2: 0.1}, LOSSES),
    ],
)
def test_a_history_is_read_however_it_was_kept(history: Any, expected: Any) -> None:
    found = history_records(history)
    assert found == expected
    assert json.loads(json.dumps(found)) == expected


def test_a_history_of_fit_is_read() -> None:
    record = EpochRecord(1, 2.0, None, 50.0, 1.5, learning_rate=0.1)
    expected = {
        "epoch": 1,
        "train_loss": 2.0,
        "validation_accuracy": None,
        "test_accuracy": 50.0,
        "seconds": 1.5,
        "validation_loss": None,
        "learning_rate": 0.1,
    }
    assert history_records([record]) == history_records(record) == [expected]


def test_a_table_of_pandas_is_read() -> None:
    class Table:
        """What is asked of a DataFrame."""

        def to_dict(self) -> dict[str, Any]:
            return {"loss": {0: 1.5, 1: 0.1}}

    assert history_records(Table()) == EPOCHS


NETWORK = {"title": "net", "parameters": 30_730, "test_accuracy": 50.5}


@pytest.mark.parametrize(
    "iterations",
    [
        [NETWORK],
        [NETWORK | {"parameters": np.int64(30_730), "test_accuracy": torch.tensor(50.5)}],
        {"net": {"parameters": 30_730, "test_accuracy": 50.5}},
        {name: [value] for name, value in NETWORK.items()},
    ],
)
def test_iterations_are_read_however_they_were_kept(iterations: Any) -> None:
    assert iteration_records(iterations) == [NETWORK]


def test_results_are_iterations_in_a_list_or_by_name(result: Result) -> None:
    expected = [{"title": "SimpleMLP", "parameters": 42_362, "test_accuracy": 51.5}]
    assert iteration_records([result]) == iteration_records({"mine": result}) == expected


def test_an_iteration_that_lacks_something_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert iteration_records([{"title": "net"}]) == [{"title": "net"}]
    assert "Entry 1 of iterations has no parameters and no test_accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("no_notebook")
def test_numbers_that_json_has_not_are_written_as_json(tmp_path: Path) -> None:
    folder = cifar_lab.submit(
        linear(),
        assignment="a",
        test_accuracy=torch.tensor(57.3),
        history=[{"train_loss": float("nan"), "seconds": np.float64(30)}],
        recipe={"learning_rate": np.float32(0.5)},  # type: ignore[arg-type]
        out=tmp_path,
    )

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    content = json.loads((folder / MANIFEST).read_text(), parse_constant=refuse)
    assert content["test_accuracy"] == 57.3
    assert content["history"] == [{"epoch": 1, "train_loss": None, "seconds": 30}]
    assert content["recipe"] == {"learning_rate": 0.5}


@pytest.mark.parametrize("text", ["57.3", "57.3 %", " 57.30% "])
def test_an_accuracy_is_taken_as_it_was_printed(tmp_path: Path, text: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    folder = cifar_lab.submit(model, assignment="a", test_accuracy=text, out=tmp_path)
    assert json.loads((folder / MANIFEST).read_text())["test_accuracy"] == 57.3


def test_an_accuracy_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="test_accuracy is 'good'; expected a number"):
        cifar_lab.submit(nn.Flatten(), assignment="a", test_accuracy="good", out=tmp_path)


def test_rows_of_a_data_frame_are_records() -> None:
    class Row:
        def to_dict(self) -> dict[str, Any]:
            return {"train_loss": np.float32(0.1)}

    assert history_records([Row()]) == [{"epoch": 1, "train_loss": 0.1}]


def test_a_folder_s_name_that_the_console_lacks_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    folder = cifar_lab.submit(model, assignment="a", test_accuracy=50, out=tmp_path / "\u4e2d")
    assert (folder / MANIFEST).exists()
