"""Every notebook run as it is handed out, and done: its checks know the difference."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from cifar_lab.cli.notebook import run_notebook
from notebooks.done import HANDOUTS, done, quick_parameters, read, tagged

RIGHT, WRONG, OPEN = "✓", "✗", "○"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.parametrize("path", HANDOUTS, ids=lambda path: path.stem[:2]),
]


def run_quickly(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run a notebook alone in a folder on a few drawn images; an error in a cell is raised."""
    path = folder / "lesson.ipynb"
    nbformat.write(notebook, path)
    parameters = quick_parameters(notebook) | {"results_folder": str(folder / "runs")}
    return read(run_notebook(path, folder / "out", parameters) / path.name)


def lines(cell: NotebookNode) -> list[str]:
    texts = (output.text for output in cell.get("outputs", []) if output.output_type == "stream")
    return "".join(texts).splitlines()


def marks(cell: NotebookNode) -> set[str]:
    return {line[0] for line in lines(cell) if line[:1] in (RIGHT, WRONG, OPEN)}


def test_as_handed_out_it_runs_and_every_check_says_what_is_to_do(
    path: Path, tmp_path: Path
) -> None:
    executed = run_quickly(read(path), tmp_path)
    checks = tagged(executed, "check")
    assert [cell.id for cell in checks if not marks(cell) <= {OPEN, WRONG}] == []
    assert [cell.id for cell in checks if not marks(cell)] == []
    assert any("still to do" in line for line in lines(executed.cells[-1])), "the last cell says so"


def test_done_every_check_is_right_and_nothing_is_left(path: Path, tmp_path: Path) -> None:
    executed = run_quickly(done(path), tmp_path)
    assert [cell.id for cell in tagged(executed, "check") if marks(cell) != {RIGHT}] == []
    assert [line for cell in executed.cells for line in lines(cell) if line[:1] == OPEN] == []
