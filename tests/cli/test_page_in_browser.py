"""The HTML page of a notebook in a real browser, on a desk and on a telephone."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from browser import open_page
from nbformat import NotebookNode
from notebooks.done import HANDOUTS, done, quick_parameters, read

from cifar_lab.cli.notebook import run_notebook
from cifar_lab.cli.notebook_page import html_page

WIDTHS = (1280, 400)
LONG_LINE = "value = " + " + ".join(f"number_{i}" for i in range(60))
LONG_WORD = "cifar10" * 40

pytestmark = pytest.mark.slow


def page_of(notebook: NotebookNode, folder: Path) -> Path:
    path = folder / "lesson.html"
    path.write_text(html_page(notebook, "lesson"), encoding="utf-8")
    return path


def shown(data: dict[str, str]) -> NotebookNode:
    return nbformat.v4.new_output("display_data", data=data)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", HANDOUTS, ids=lambda path: path.stem[:2])
def test_the_committed_notebook_s_page_has_no_fault(path: Path, width: int, tmp_path: Path) -> None:
    seen = open_page(page_of(read(path), tmp_path), width)
    seen.screenshot(tmp_path / "page.png")
    assert seen.faults == []
    assert seen.title == read(path).cells[0].source.splitlines()[0].lstrip("# ")


@pytest.mark.timeout(1800)
def test_the_page_of_a_run_has_no_fault(tmp_path: Path) -> None:
    notebook = done(HANDOUTS[0])
    path = tmp_path / "lesson.ipynb"
    nbformat.write(notebook, path)
    parameters = quick_parameters(notebook) | {"results_folder": str(tmp_path / "runs")}
    page = run_notebook(path, tmp_path / "out", parameters) / "lesson.html"
    for width in WIDTHS:
        seen = open_page(page, width)
        seen.screenshot(tmp_path / f"page-{width}.png")
        assert seen.faults == []
        assert "SYNTHETIC DATASET" in seen.text


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_wider_than_the_page_scrolls_in_a_box_of_its_own(
    width: int, tmp_path: Path
) -> None:
    row = "|" + "a long heading of a column|" * 30
    table = "\n".join([row, "|" + "---|" * 30, row.replace(" ", "_")])
    html_table = f"<table><tr>{'<td>a_cell_of_a_table</td>' * 30}</tr></table>"
    drawing = "<svg aria-label='wide' width=3000 height=9></svg>"
    cell = nbformat.v4.new_code_cell(LONG_LINE)
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text=f"{LONG_WORD}\n{LONG_LINE}\n"),
        shown({"text/html": html_table}),
        shown({"text/html": drawing}),
        shown({"text/markdown": f"{table}\n\n```python\n{LONG_LINE}\n```"}),
        nbformat.v4.new_output(
            "error", ename="ValueError", evalue="x", traceback=[f"\x1b[31m{LONG_LINE}\x1b[0m"]
        ),
    ]
    text = f"# Lesson\n\n{LONG_WORD}\n\n`{LONG_WORD}`\n\n{table}\n\n```python\n{LONG_LINE}\n```\n"
    text += f"\n<details><summary>Answer</summary>\n\n{table}\n\n{LONG_WORD}\n\n</details>"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text), cell])
    seen = open_page(page_of(notebook, tmp_path), width)
    seen.screenshot(tmp_path / "page.png")
    assert seen.faults == []


def test_a_formula_is_readable_without_a_network(tmp_path: Path) -> None:
    text = "# Lesson\n\nThe loss is $-\\log p_y$ and not $$\\frac{1}{n}\\sum_i x_i.$$"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])
    seen = open_page(page_of(notebook, tmp_path), 400)
    assert "-\\log p_y" in seen.text
    assert all("mathjax" in request for request in seen.requests), "no other request"
