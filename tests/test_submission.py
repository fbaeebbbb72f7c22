"""Handing in from a notebook: what is written, and what an export can be relied on for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import cifar_lab
from cifar_lab.results import Result
from cifar_lab.submission import MANIFEST, PROGRAM, WEIGHTS_FILE, export_model


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


@pytest.mark.parametrize("name", cifar_lab.MODELS)
def test_the_exported_program_computes_what_the_model_does(name: str) -> None:
    model = cifar_lab.build_model(name).eval()
    program = torch.export.load(io.BytesIO(export_model(model))).module()
    for count in (1, 2, 5):
        images = torch.rand(count, 3, 32, 32)
        torch.testing.assert_close(program(images), model(images), rtol=1e-4, atol=1e-5)


def test_a_module_of_ones_own_needs_its_accuracy(tmp_path: Path) -> None:
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


def test_checking_ones_own_work_says_what_is_open_and_what_to_mend(
    result: Result,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("JPY_SESSION_NAME", "CIFAR_LAB_NOTEBOOK"):
        monkeypatch.delenv(name, raising=False)
    folder = cifar_lab.submit(result, assignment="a", dataset="cifar10", out=tmp_path / "mine")
    cifar_lab.check_submission(folder, data_folder=tmp_path / "nowhere")
    shown = capsys.readouterr().out
    assert "Your notebook's file is not in the folder yet" in shown
    assert "✓" in shown
    assert "not on this machine" in shown
    assert "A question mark is open" in shown
