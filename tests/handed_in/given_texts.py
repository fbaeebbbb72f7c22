"""The text of the notebooks as the grader keeps it: no student wrote any of it.

In `tests/`, `python -m handed_in.given_texts` writes it again, once a notebook has changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from cifar_lab.grading.checks.words import HERE

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
COPIES = {
    "notebook_a.md": "01_fully_connected_against_convolutional.ipynb",
    "notebook_b.md": "02_cifar100_under_a_million_parameters.ipynb",
    "notebook_frontier.md": "03_the_frontier_three_epochs_few_parameters.ipynb",
    "notebook_frontier_100.md": "04_the_frontier_an_hour_under_a_million.ipynb",
}


def text_of(notebook: str) -> str:
    """The Markdown cells, joined by blank lines."""
    cells = json.loads((NOTEBOOKS / notebook).read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown") + "\n"


if __name__ == "__main__":
    for copy, notebook in COPIES.items():
        (HERE / copy).write_text(text_of(notebook), encoding="utf-8")
