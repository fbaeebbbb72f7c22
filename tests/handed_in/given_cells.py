"""The digests of the code that students were given, as `grading.likeness` keeps them.

In `tests/`, `python -m handed_in.given_cells` writes them again, once a notebook has changed.
"""

from __future__ import annotations

import re
from pathlib import Path

from cifar_lab.grading import likeness

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def given_code() -> list[str]:
    """The code cells of the notebooks, and the Python blocks of the documentation."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.md"), *ROOT.glob("cifar_lab/**/*.md")]
    cells = [cell for path in notebooks for cell in likeness.code_of(path.read_bytes())]
    blocks = [block for path in pages for block in BLOCK.findall(path.read_text(encoding="utf-8"))]
    return cells + blocks


def text() -> str:
    """The digests, sorted, one a line."""
    digests = {likeness.code_cell_digest(cell) for cell in given_code()} - {None}
    return "".join(f"{digest}\n" for digest in sorted(map(str, digests)))


if __name__ == "__main__":
    likeness.GIVEN.write_text(text(), encoding="utf-8")
