"""`cifar-lab handout`: what is left of a cell, what is refused, what is never replaced."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from cifar_lab.cli.main import main
from cifar_lab.cli.solution_regions import take_out_solutions

Captured = pytest.CaptureFixture[str]


def solved(text: str) -> str:
    """Write the marks where the text has << and >>, indented as these."""
    return text.replace("<<", "### BEGIN SOLUTION").replace(">>", "### END SOLUTION")


def left_of(*sources: str, raising: bool = False) -> list[str]:
    """Return what is left of code cells."""
    cells = [v4.new_code_cell(solved(source)) for source in sources]
    take_out_solutions(dict(enumerate(cells, start=1)), raising=raising)
    return [cell.source for cell in cells]


def written(folder: Path, *cells: nbformat.NotebookNode, name: str = "lesson.ipynb") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=list(cells)), path)
    return path


RUNS = [  # a cell and what is left of it; @ is the comment, ! the error
    ("def f(x):\n    <<\n    return x**2\n    >>", "def f(x):\n    @\n    !"),
    ("<<\na = 3\nb = 4\n>>", "@\na = ...\nb = ..."),
    ("a, b = ..., ...\n<<\na, b = 3, 4\n>>", "a, b = ..., ...\n@"),
    ("class N(M):\n    <<\n    def m(self): pass\n    >>", "class N(M):\n    @\n    ..."),
    (
        "<<\n@wraps\ndef a(x: int = 3) -> int:\n    return x\nclass b(Module):\n    c = 3\n>>",
        "def a(x: int=3) -> int:\n    @\n    !\nclass b(Module):\n    @\n    ...",
    ),
    ("<<\nclass Own: pass\nclass a(Own): pass\nb = 4\n>>", "@\na = ...\nb = ..."),
    ("if ready:\n    <<\n    a = 3\n    >>", "if ready:\n    @\n    a = ..."),
    ("if ready:\n    <<\n    print(3)\n    >>", "if ready:\n    @\n    ..."),
    ("<<\nfor i in range(3):\n    print(i)\n>>", "@"),
    ("c = [\n    <<\n    3, 4,\n    >>\n]", "c = [\n    @\n    ...,\n]"),
    ("%time\n<<\na = 3\n>>\nls?", "%time\n@\na = ...\nls?"),
    ("%%bash\n<<\necho 3\n>>", "%%bash\n@"),
    ("\n\n<<\na = 3\n>>\n", "\n\n@\na = ...\n"),
    ("<<\na = 3\n>>\nx = 1\n<<\nb = 4\n>>", "@\na = ...\nx = 1\n@\nb = ..."),
    ("<<\nimport math as a\nfrom x import b, c\n>>", "@\nimport math as a\nfrom x import b"),
    (
        "def f():\n    def g():\n        <<\n        return 3\n        >>\n    return g",
        "def f():\n    def g():\n        @\n        !\n    return g",
    ),
    ("# BEGIN SOLUTION\na = 3\n# END SOLUTION", "@\na = ..."),
]


@pytest.mark.parametrize(("source", "expected"), RUNS)
def test_a_placeholder_runs_and_gives_the_names_that_later_cells_need(
    source: str, expected: str
) -> None:
    later = "print(a, b)"
    left = expected.replace("@", "# YOUR CODE HERE").replace("!", "raise NotImplementedError()")
    assert left_of(source, later) == [left, later]


def test_a_name_that_a_cell_above_gives_keeps_that_value() -> None:
    above, later = "recipe = usual()", "train(recipe)"
    assert left_of(above, "<<\nrecipe = other(recipe)\n>>", later)[1] == "# YOUR CODE HERE"
    assert left_of("<<\nrecipe = usual()\n>>", "<<\nrecipe = other()\n>>", later) == [
        "# YOUR CODE HERE\nrecipe = ...",
        "# YOUR CODE HERE",
        later,
    ]


def test_nbgraders_placeholder_is_put_everywhere_when_asked_for() -> None:
    source = "<<\na = 3\n>>\nclass N:\n    <<\n    b = 4\n    >>"
    stub = "# YOUR CODE HERE\nraise NotImplementedError()"
    indented = "    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert left_of(source, "print(a)", raising=True)[0] == f"{stub}\nclass N:\n{indented}"


def test_text_has_a_place_for_an_answer() -> None:
    cell = v4.new_markdown_cell(solved("Why?\n\n<<\nBecause.\n>>"))
    take_out_solutions({1: cell})
    assert cell.source == "Why?\n\nYOUR ANSWER HERE"


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("<<\na = 3", "the solution that line 1 begins has no '### END SOLUTION'"),
        ("a = 3\n>>", "line 2 ends a solution that no line before it begins"),
        ("<<\n<<\na = 3\n>>\n>>", "line 2 begins a solution inside another one"),
        ("### begin solution\na = 3\n### end solution", "line 1 is '### begin solution'"),
        ("### BEGIN_SOLUTION\na = 3\n>>", "expected to read '### BEGIN SOLUTION'"),
        ("<<\nif a:\n    >>\n    b = 3", "Put the marks around whole statements"),
    ],
)
def test_marks_that_cant_be_understood_are_refused_with_the_cell(
    tmp_path: Path, capsys: Captured, source: str, part: str
) -> None:
    removed = v4.new_code_cell("a", metadata={"tags": ["solution"]})
    wrong = v4.new_code_cell(solved(source), id="exercise-3")
    path = written(tmp_path / "course", v4.new_markdown_cell("Hello"), removed, wrong)
    assert main(["handout", str(path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert f"{path}: Cell 3 (exercise-3): " in error
    assert part in error
    assert not (tmp_path / "out").exists()


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path, capsys: Captured) -> None:
    cell = v4.new_code_cell(solved("<<\na = 3\n>>"))
    first = written(tmp_path / "course", cell)
    second = written(tmp_path / "course", cell, name="second.ipynb")
    out = tmp_path / "out"
    there = written(out, v4.new_code_cell("a student's"), name="second.ipynb")
    before = there.read_bytes()
    command = ["handout", str(first), str(second), "--out", str(out)]
    assert main(command) == 1
    assert f"{there}: there already" in capsys.readouterr().err
    assert there.read_bytes() == before
    assert not (out / "lesson.ipynb").exists(), "all of them or none"
    assert main([*command, "--overwrite"]) == 0
    assert there.read_bytes() != before


def test_the_notebook_with_the_solutions_is_never_replaced(
    tmp_path: Path, capsys: Captured
) -> None:
    path = written(tmp_path / "course", v4.new_code_cell(solved("<<\na = 3\n>>")))
    before = path.read_bytes()
    assert main(["handout", str(path), "--out", str(path.parent), "--overwrite"]) == 1
    assert "the notebook with the solutions itself" in capsys.readouterr().err
    twin = written(tmp_path / "other", v4.new_code_cell("b"))
    assert main(["handout", str(path), str(twin), "--out", str(tmp_path / "out")]) == 1
    assert "Two of the notebooks are called lesson.ipynb" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_traces_of_the_instructors_run_and_pictures_of_solutions_are_taken_out(
    tmp_path: Path,
) -> None:
    by_whom = {"user": {"displayName": "Prof. Muster"}}
    code = v4.new_code_cell(
        "a = 3",
        execution_count=7,
        outputs=[v4.new_output("stream", text="the answer")],
        metadata={"executionInfo": by_whom, "execution": {}, "tags": ["check"]},
    )
    text = v4.new_markdown_cell(
        solved("![given](attachment:given.png)\n<<\n![it](attachment:it.png)\n>>"),
        attachments={"given.png": {"image/png": "aaaa"}, "it.png": {"image/png": "bbbb"}},
    )
    notebook = v4.new_notebook(cells=[code, text])
    notebook.metadata = nbformat.from_dict(
        {
            "cifar_lab": {"executed_code_sha256": "x"},
            "colab": {"provenance": [{"file_id": "secret"}], "gpuType": "T4"},
            "widgets": {"state": "the answer"},
            "kernelspec": {"name": "python3", "display_name": "Python 3"},
        }
    )
    path = tmp_path / "lesson.ipynb"
    nbformat.write(notebook, path)
    assert main(["handout", str(path), "--out", str(tmp_path / "out")]) == 0
    made = nbformat.read(tmp_path / "out" / "lesson.ipynb", as_version=4)
    assert made.metadata == {
        "colab": {"provenance": [], "gpuType": "T4"},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
    }
    first, second = made.cells
    assert first.metadata == {"tags": ["check"]}
    assert (first.outputs, first.execution_count) == ([], None)
    assert set(second.attachments) == {"given.png"}


def test_what_deserves_a_look_is_said(tmp_path: Path, capsys: Captured) -> None:
    badge = "[![Open](https://x/badge.svg)](https://colab.research.google.com/github/A/B/blob/main/{}.ipynb)"
    cells = [v4.new_markdown_cell(badge.format("lesson")), v4.new_code_cell("a = 3")]
    path = written(tmp_path, *cells)
    assert main(["handout", str(path), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "No solution is marked in it" in told
    assert "A badge in it opens" not in told
    path = written(tmp_path, v4.new_markdown_cell(badge.format("solved")), name="lesson 2.ipynb")
    assert main(["handout", str(path), "--out", str(tmp_path / "out")]) == 0
    assert "A badge in it opens solved.ipynb" in capsys.readouterr().out
