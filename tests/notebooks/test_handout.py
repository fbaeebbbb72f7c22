"""Student editions, made of the notebooks with their solutions: nothing of a solution is left."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from cifar_lab.cli.main import main
from notebooks.done import HANDOUTS, OWN, done, read, tagged, with_solutions
from notebooks.test_done_notebooks import OPEN, RIGHT, WRONG, lines, marks, run_quickly

PLACEHOLDERS = ("\n# YOUR CODE HERE", "\nYOUR ANSWER HERE")

every_notebook = pytest.mark.parametrize("path", HANDOUTS, ids=lambda path: path.stem[:2])


def handed_out(path: Path, folder: Path, *options: str, skeleton: bool = True) -> NotebookNode:
    """Return the student edition of the instructor's edition, as the command makes it."""
    notebook = with_solutions(path, skeleton=skeleton)
    secret = nbformat.v4.new_code_cell("# all of the answers", metadata={"tags": ["solution"]})
    notebook.cells.insert(len(notebook.cells) // 2, secret)
    source = folder / "instructor" / path.name
    source.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, source)
    assert main(["handout", str(source), "--out", str(folder / "students"), *options]) == 0
    return read(folder / "students" / path.name)


def texts(notebook: NotebookNode) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells}


@every_notebook
def test_the_student_edition_is_the_notebook_of_the_course(path: Path, tmp_path: Path) -> None:
    course, made = read(path), handed_out(path, tmp_path)
    own = {cell.id for cell in tagged(course, *OWN)}
    assert list(texts(made)) == list(texts(course))
    for name, text in texts(course).items():
        found = texts(made)[name]
        if name in own:
            assert found.endswith(PLACEHOLDERS)
            found = found[: found.rindex("\n")]
        assert found == text, name
    assert all(cell.get("outputs", []) == [] for cell in made.cells)
    assert all(cell.get("execution_count") is None for cell in made.cells)
    assert "cifar_lab" not in made.metadata


@every_notebook
@pytest.mark.parametrize("skeleton", [True, False], ids=["skeleton", "solution alone"])
def test_no_line_of_a_solution_is_left(path: Path, tmp_path: Path, skeleton: bool) -> None:
    course = {line.strip() for text in texts(read(path)).values() for line in text.splitlines()}
    solved = {line.strip() for text in texts(done(path)).values() for line in text.splitlines()}
    made = handed_out(path, tmp_path, skeleton=skeleton)
    left = {line.strip() for text in texts(made).values() for line in text.splitlines()}
    assert left & (solved - course) == set()
    assert "SOLUTION" not in "".join(texts(made).values())


@every_notebook
def test_checks_badges_and_the_set_up_are_kept(path: Path, tmp_path: Path) -> None:
    course, made = read(path), handed_out(path, tmp_path, skeleton=False)
    for tags in (("check",), ("set-up",), ("parameters",)):
        assert [(cell.id, cell.source) for cell in tagged(made, *tags)] == [
            (cell.id, cell.source) for cell in tagged(course, *tags)
        ]
    assert made.cells[0].source == course.cells[0].source
    assert [cell.metadata.get("cellView") for cell in made.cells] == [
        cell.metadata.get("cellView") for cell in course.cells
    ]


@every_notebook
def test_folded_answers_can_be_taken_out(path: Path, tmp_path: Path) -> None:
    with_answers, without = handed_out(path, tmp_path), None
    without = handed_out(path, tmp_path, "--overwrite", "--no-answers")
    before, after = ("".join(texts(one).values()) for one in (with_answers, without))
    assert before.count("<summary>Answer</summary>") > 0
    assert "<summary>Answer" not in after
    assert before.count("<summary>Hint") == after.count("<summary>Hint")
    assert after.count("<details>") == after.count("</details>")


# One notebook, the quickest: what the others hold is compared above, and theirs run in
# test_done_notebooks.
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("skeleton", [True, False], ids=["skeleton", "solution alone"])
def test_it_runs_top_to_bottom_and_no_check_is_right_before_the_exercise_is_done(
    tmp_path: Path, skeleton: bool
) -> None:
    path = HANDOUTS[0]
    executed = run_quickly(handed_out(path, tmp_path, skeleton=skeleton), tmp_path)
    checks = tagged(executed, "check")
    assert [cell.id for cell in checks if not marks(cell)] == []
    assert [cell.id for cell in checks if not marks(cell) <= {OPEN, WRONG}] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_check_is_right_in_the_instructors_edition(tmp_path: Path) -> None:
    executed = run_quickly(with_solutions(HANDOUTS[0]), tmp_path)
    assert [cell.id for cell in tagged(executed, "check") if marks(cell) != {RIGHT}] == []
    assert [line for cell in executed.cells for line in lines(cell) if line[:1] == OPEN] == []
