"""Notebooks with a student's answers in the cells that are theirs.

In `tests/`, `python -m notebooks.done FOLDER` writes the instructor's edition of each notebook, of
which `cifar-lab handout` makes the student's again.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

HANDOUTS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
OWN = ("exercise", "words")  # tags of the cells that the student fills in

# Parameters with which a notebook takes minutes at most; each has some of them.
QUICK = {"dataset": "synthetic", "epochs": 1, "images": 500}
QUICK |= {"short_epochs": 1, "short_images": 500, "seeds": [0], "final_seeds": [0]}
QUICK |= {"trial_flops": 1e11, "ablation_epochs": 1}


def read(path: Path) -> NotebookNode:
    """Return a notebook."""
    return nbformat.read(path, as_version=4)


def tagged(notebook: NotebookNode, *tags: str) -> list[NotebookNode]:
    """Return the cells that have one of the tags."""
    return [cell for cell in notebook.cells if set(tags) & set(cell.metadata.get("tags", []))]


def solutions(path: Path) -> Mapping[str, str]:
    """Return the answers for a notebook, by the ids of the cells whose place they take."""
    return importlib.import_module(f"notebooks.solutions_{path.stem[:2]}").SOLUTIONS


def done(path: Path) -> NotebookNode:
    """Return the notebook as a student leaves it who has done all of it, without outputs."""
    notebook, answers = read(path), dict(solutions(path))
    for cell in notebook.cells:
        cell.source = answers.pop(cell.id, cell.source).strip("\n")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    assert not answers, f"{path.name} has no cells {', '.join(answers)}"
    return notebook


def with_solutions(path: Path, *, skeleton: bool = True) -> NotebookNode:
    """Return the instructor's edition of a notebook: the solutions in it, between marks.

    Args:
        path: Notebook as it is handed out.
        skeleton: Keeps what the student is given above each solution, which replaces it; without,
            a cell holds its solution alone.
    """
    notebook = done(path)
    given = {cell.id: cell.source for cell in read(path).cells}
    for cell in tagged(notebook, *OWN):
        solution = ["### BEGIN SOLUTION", cell.source, "### END SOLUTION"]
        cell.source = "\n".join([given[cell.id], *solution] if skeleton else solution)
    return notebook


def quick_parameters(notebook: NotebookNode) -> dict[str, object]:
    """Return values for the parameters that make the notebook quick."""
    (cell,) = tagged(notebook, "parameters")
    targets = (
        node.targets[0] for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)
    )
    return {name.id: QUICK[name.id] for name in targets if name.id in QUICK}


if __name__ == "__main__":
    for each in HANDOUTS:
        nbformat.write(with_solutions(each), Path(sys.argv[1]) / each.name)
