"""Networks and notebooks as students write them: each cell of the gallery's matrix is a test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from handed_in.making import HandedIn
from handed_in.quick import run_forked
from student_work import matrix
from student_work.assignments import ASSIGNMENTS, with_the_weights_of
from student_work.gallery import NETWORKS
from student_work.harness import (
    CHANNELS_LAST,
    TEST,
    TEST_IMAGES,
    TRAIN,
    Interrupted,
    assert_same_state,
    built,
    fitted,
    interrupt,
    losses_of_a_plain_loop,
    losses_of_own_loop,
    losses_of_run,
    plain_logits,
)
from student_work.notebooks import NOTEBOOKS
from torch.utils.data import DataLoader, TensorDataset

import cifar_lab
from cifar_lab.experiments.catalog import EXPERIMENTS
from cifar_lab.grading import sandboxing
from cifar_lab.grading.isolation.sandbox import isolation_level
from cifar_lab.grading.sessions.grade import grade_submission
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.verdicts import NOT_MADE, PASSED
from cifar_lab.models import build_model
from cifar_lab.training.checkpoint import load_weights, save_weights
from cifar_lab.training.loop import fit

OWN_DRAWS = "draws from `random` and `np.random`"  # not to be had again in another loop
IN_A_PLAIN_LOOP = [style for style in NETWORKS if style != OWN_DRAWS]
QUICK = set(NETWORKS) - {matrix.RESNET_18}
GRADED_OFTEN = {"`len(x)` in `forward`"}
SUBMITTED_OFTEN = GRADED_OFTEN | {
    "one layer under two names, tied weights",
    "lazy modules",
    "`AveragedModel`",
    "keeps an activation",
    "`torch.jit.script` of the whole",
}
NOTEBOOKS_OFTEN = {"assignment A as exported: one class name twice, no `model`"}


def styles(names: Iterable[str], often: set[str]) -> list[Any]:
    """Parameters of a test, of which those that are not in `often` are slow."""
    return [
        pytest.param(
            name,
            id=name.replace("`", ""),
            marks=[] if name in often else pytest.mark.slow,
        )
        for name in names
    ]


def skip_what_is_not_tried(style: str, column: str) -> None:
    otherwise = matrix.OTHERWISE.get((style, column))
    if otherwise is matrix.TOO_LARGE:
        pytest.skip(f"not tried on purpose: {otherwise.reason}")


@pytest.mark.parametrize("style", styles(IN_A_PLAIN_LOOP, QUICK))
def test_trains_as_a_plain_loop_does_to_the_bit(style: str) -> None:
    assert fitted(style)[1] == losses_of_a_plain_loop(style)


@pytest.mark.parametrize("style", styles(NETWORKS, QUICK))
def test_resumes_to_the_bit(style: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    whole = built(style)
    expected = fit(whole, TRAIN, CHANNELS_LAST, progress=False)
    options: dict[str, Any] = {"checkpoint": path, "progress": False}
    with pytest.raises(Interrupted):
        fit(built(style), TRAIN, CHANNELS_LAST, on_epoch=interrupt, **options)
    resumed = built(style, seed=1)  # its weights come from the checkpoint
    found = fit(resumed, TRAIN, CHANNELS_LAST, resume=True, **options)
    assert [one.train_loss for one in found] == [one.train_loss for one in expected]
    assert_same_state(resumed, whole)


@pytest.mark.parametrize("style", styles(NETWORKS, QUICK))
def test_accuracy_is_that_of_a_plain_evaluation(style: str) -> None:
    model, _ = fitted(style)
    right = (plain_logits(model, TEST_IMAGES).argmax(dim=1) == TEST.labels).float().mean().item()
    own_loader = DataLoader(TensorDataset(TEST_IMAGES.clone(), TEST.labels), batch_size=7)
    assert cifar_lab.test_accuracy(model, TEST) == pytest.approx(100 * right)
    assert cifar_lab.test_accuracy(model, own_loader) == pytest.approx(100 * right)
    otherwise = matrix.OTHERWISE.get((style, "evaluate"))
    if otherwise is not None:
        with pytest.raises(ValueError, match=otherwise.message):
            cifar_lab.evaluate(model, TEST)
    else:
        assert cifar_lab.evaluate(model, TEST) == pytest.approx(100 * right)


@pytest.mark.parametrize("style", styles(NETWORKS, QUICK))
def test_saved_weights_load_into_a_new_network(style: str, tmp_path: Path) -> None:
    model, _ = fitted(style)
    save_weights(model, tmp_path / "weights.pt")
    new = built(style, seed=1)
    load_weights(new, tmp_path / "weights.pt")
    assert torch.equal(plain_logits(new, TEST_IMAGES), plain_logits(model, TEST_IMAGES))


@pytest.mark.parametrize("style", styles(NETWORKS, SUBMITTED_OFTEN))
def test_submit_writes_weights_program_and_manifest(
    style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _ = fitted(style)
    folder = cifar_lab.submit(model, assignment="a", test_accuracy=50.0, out=tmp_path / "in")
    expected = plain_logits(model, TEST_IMAGES[:3])
    new = built(style, seed=1)
    load_weights(new, folder / "weights.pt")
    assert torch.equal(plain_logits(new, TEST_IMAGES[:3]), expected)
    otherwise = matrix.OTHERWISE.get((style, "submit"))
    if otherwise is not None:
        assert not (folder / "model.pt2").exists()
        assert otherwise.message in capsys.readouterr().out
    else:
        program = torch.export.load(folder / "model.pt2").module()
        with torch.no_grad():
            torch.testing.assert_close(program(TEST_IMAGES[:3].clone()), expected)
    manifest = json.loads((folder / "submission.json").read_text())
    own = {id(one): one.numel() for one in model.parameters()}
    assert manifest["parameters"] == sum(own.values())


def assert_full_marks(style: str, handed_in: HandedIn, assignment: str, folder: Path) -> None:
    handed_in.write(folder)
    grade = grade_submission(folder, Settings(assignment, dataset="synthetic"))
    otherwise = matrix.OTHERWISE.get((style, "grader"))
    not_made = frozenset() if otherwise is None else otherwise.not_made
    assert not [one for one in grade.verdicts if one.status not in (PASSED, NOT_MADE)]
    assert {one.check for one in grade.not_made} == not_made
    assert grade.earned == grade.possible


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sandbox around submissions that mean no harm."""
    monkeypatch.setattr(sandboxing, "run_isolated", run_forked)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("style", styles(NETWORKS, GRADED_OFTEN))
def test_the_grader_takes_the_network(style: str, tmp_path: Path) -> None:
    skip_what_is_not_tried(style, "grader")
    assert_full_marks(style, NETWORKS[style].handed_in(), "a", tmp_path / "handed-in")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("style", styles(NETWORKS, set()))
def test_check_submission_finds_full_marks(
    style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_what_is_not_tried(style, "check_submission")
    folder = NETWORKS[style].submitted().write(tmp_path / "handed-in")
    cifar_lab.check_submission(folder)
    assert "100 of 100 points" in capsys.readouterr().out


@pytest.mark.timeout(600)
@pytest.mark.parametrize("style", styles(NOTEBOOKS, NOTEBOOKS_OFTEN))
def test_the_grader_takes_the_notebook(style: str, request: pytest.FixtureRequest) -> None:
    notebook = NOTEBOOKS[style]
    if not notebook.runs_commands:
        request.getfixturevalue("forked")
    elif isolation_level() != "bubblewrap":
        pytest.skip("needs bubblewrap (apt install bubblewrap): the submission runs pip install")
    folder = request.getfixturevalue("tmp_path") / "handed-in"
    assert_full_marks(style, notebook.handed_in(), notebook.assignment, folder)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assignments_network_gives_the_librarys_losses_by_run(
    name: str, channels_last: bool
) -> None:
    library = EXPERIMENTS[name].model
    assert isinstance(library, str)
    losses = losses_of_run(
        name,
        lambda: with_the_weights_of(library, ASSIGNMENTS[name]),
        channels_last=channels_last,
    )
    assert losses == losses_of_run(name, library, channels_last=channels_last)


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assignments_network_gives_the_librarys_losses_in_a_plain_loop(name: str) -> None:
    library = EXPERIMENTS[name].model
    assert isinstance(library, str)

    own = losses_of_own_loop(lambda: with_the_weights_of(library, ASSIGNMENTS[name]))
    assert own == losses_of_own_loop(lambda: build_model(library, num_classes=10))


def test_the_readme_says_what_the_tests_find() -> None:
    assert matrix.README.read_text(encoding="utf-8") == matrix.render()
