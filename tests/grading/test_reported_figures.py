"""Figures that a student reports, against what else the submission holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cifar_lab.experiments.submission import FORMAT
from cifar_lab.grading.checks.report import time_within_limit
from cifar_lab.grading.checks.results import _stands_beside_another
from cifar_lab.grading.evidence import Evidence
from cifar_lab.grading.settings import Settings
from cifar_lab.grading.submissions.cells import Cell
from cifar_lab.grading.submissions.submission import Submission
from cifar_lab.grading.verdicts import NotMadeError, SubmissionError

HOUR = 3600.0


def cell(printed: str = "", seconds: float | None = None) -> Cell:
    outputs = ({"output_type": "stream", "text": printed},)
    metadata = {} if seconds is None else {"executionInfo": {"elapsed": 1000 * seconds}}
    return Cell("code", "train()", 1, outputs, (), metadata)


def evidence(folder: Path, *cells: Cell, networks: int = 1, history: Any = None) -> Evidence:
    manifest = {"format": FORMAT, "history": history}
    (folder / "submission.json").write_text(json.dumps(manifest))
    looked_at = Evidence(folder, Settings("a"))
    optimizers = [{"network": number, "parameters": 1000 + number} for number in range(networks)]
    looked_at.run = lambda: {"watch": {"optimizers": optimizers}}  # type: ignore[assignment, method-assign]
    looked_at.cells = lambda: cells  # type: ignore[method-assign]
    return looked_at


def epochs(*seconds: float) -> list[dict[str, float]]:
    return [{"epoch": number, "seconds": each} for number, each in enumerate(seconds, 1)]


@pytest.mark.parametrize(
    ("recorded", "networks", "history", "source"),
    [
        (30 * 60.0, 1, epochs(600, 700), "21.7 minutes by the recorded history"),
        (1.8 * HOUR, 2, epochs(3000.0), "50.0 minutes by the recorded history"),
        (30 * 60.0, 1, epochs(-5000, 100), "30.0 minutes by the notebook's record"),
        (30 * 60.0, 1, None, "30.0 minutes by the notebook's record"),
        (None, 1, epochs(60), "1.0 minutes by the recorded history"),
    ],
)
def test_time_is_taken_from_what_is_recorded(
    recorded: float | None, networks: int, history: Any, source: str, tmp_path: Path
) -> None:
    seen = time_within_limit(
        evidence(tmp_path, cell(seconds=recorded), networks=networks, history=history)
    )
    assert seen == source


@pytest.mark.parametrize(
    ("recorded", "networks", "history"),
    [
        (3 * HOUR, 1, epochs(1)),  # made up
        (3 * HOUR, 2, epochs(1)),
        (2 * HOUR, 1, None),
        (None, 1, epochs(4000)),
    ],
)
def test_a_history_is_not_believed_against_the_record(
    recorded: float | None, networks: int, history: Any, tmp_path: Path
) -> None:
    cells = (cell(seconds=recorded),)
    with pytest.raises(SubmissionError, match=r"minutes by the (notebook's record|recorded)"):
        time_within_limit(evidence(tmp_path, *cells, networks=networks, history=history))


def test_a_printed_time_is_enough_where_it_is_short(tmp_path: Path) -> None:
    seen = time_within_limit(evidence(tmp_path, cell("Training took 12.5 minutes")))
    assert seen == "12.5 minutes by the time that the notebook prints"
    for printed in ("Training took 75 minutes", "Finished Training"):
        with pytest.raises(NotMadeError, match="says how long"):
            time_within_limit(evidence(tmp_path, cell(printed)))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("second net: 1,001 parameters, test accuracy 71.25 %", True),
        ("first net: 1,000 parameters, test accuracy 71.25 %", False),
        ("Test accuracy: 71.25 %", False),
    ],
)
def test_an_accuracy_may_belong_to_another_network(
    printed: str, expected: bool, tmp_path: Path
) -> None:
    looked_at = evidence(tmp_path, cell(printed), networks=2)
    looked_at.seen = lambda name: {"parameters": 1000}  # type: ignore[method-assign]
    assert _stands_beside_another(71.25, looked_at) is expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("weights.pt", "weights.pt is a link to another file"),
        ("weights.h5", "weights.h5 is none that PyTorch writes"),
        ("weights.zip", "weights.zip is packed"),
        ("notes.txt", "No weights."),
    ],
)
def test_what_may_be_meant_as_weights_is_named(name: str, said: str, tmp_path: Path) -> None:
    if name.endswith(".pt"):
        (tmp_path / name).symlink_to("/etc/passwd")
    else:
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "notebook.ipynb").touch()
    with pytest.raises(SubmissionError, match=said):
        _ = Submission(tmp_path).weights_files
