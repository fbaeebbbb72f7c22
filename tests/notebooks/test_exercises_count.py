"""What the notebooks ask of a student: counted, with folded answers, without the solutions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode

from notebooks.done import HANDOUTS, OWN, done, read, solutions, tagged

TAGS = {"parameters", "set-up", "exercise", "words", "question", "check"}
RUNS = ("cifar_lab.run", "compare_variants")  # what trains and leaves files

pytestmark = pytest.mark.parametrize("path", HANDOUTS, ids=lambda path: path.stem[:2])


def code_of(notebook: NotebookNode) -> str:
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    lines = "\n".join(cells).splitlines()
    return "\n".join(line for line in lines if not line.startswith("%"))


def training_runs(code: str) -> Iterator[tuple[str, dict[str | None, str]]]:
    """Yield the name of each function called that trains and saves, and its keyword arguments."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            called = [ast.unparse(node.func), *map(ast.unparse, node.args[:1])]
            name = called[called[0] == "partial"] if len(called) > 1 else called[0]
            if name.endswith(RUNS):
                yield name, {each.arg: ast.unparse(each.value) for each in node.keywords}


def test_a_student_is_asked_for_much_and_most_of_it_is_checked(path: Path) -> None:
    notebook = read(path)
    assert len(tagged(notebook, "exercise", "words", "question")) >= 8
    assert len(tagged(notebook, "check")) >= 5
    assert tagged(notebook, "words"), "there are words to write"


def test_cells_have_telling_ids_and_known_tags(path: Path) -> None:
    cells = read(path).cells
    ids = [cell.id for cell in cells]
    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z][a-z0-9-]*", each)] == []
    assert [each for each in ids if re.fullmatch(r"cell-\d+", each)] == []
    assert {tag for cell in cells for tag in cell.metadata.get("tags", [])} <= TAGS


def test_an_exercise_holds_dots_and_a_check_checks(path: Path) -> None:
    notebook = read(path)
    assert [cell.id for cell in tagged(notebook, "exercise") if "..." not in cell.source] == []
    unchecked = [cell.id for cell in tagged(notebook, "check") if "exercises." not in cell.source]
    assert unchecked == []


def test_words_have_a_place_and_questions_an_answer_that_folds_out(path: Path) -> None:
    notebook = read(path)
    for cell in tagged(notebook, "words"):
        assert cell.cell_type == "markdown"
        assert cell.source.startswith("**Your words**"), cell.id
        assert "*(write here" in cell.source, cell.id  # and what, in some
    for cell in tagged(notebook, "question"):
        assert cell.cell_type == "markdown" and "<details><summary>" in cell.source, cell.id
    for cell in notebook.cells:
        text = cell.source
        if cell.cell_type == "markdown":
            assert text.count("<details>") == text.count("</details>"), cell.id


def test_the_set_up_is_the_same_everywhere_titled_and_folded(path: Path) -> None:
    (cell,) = tagged(read(path), "set-up")
    assert cell.source == tagged(read(HANDOUTS[0]), "set-up")[0].source
    assert cell.source.startswith("# @title ") and cell.metadata["cellView"] == "form"
    assert cell.metadata["jupyter"]["source_hidden"] is True


def test_every_run_survives_a_lost_session(path: Path) -> None:
    notebook = read(path)
    assert "backup_folder = None" in tagged(notebook, "parameters")[0].source
    assert "backup_folder" in notebook.cells[0].source and "Save a copy" in notebook.cells[0].source
    runs = list(training_runs(code_of(notebook)))
    assert runs
    for name, given in runs:
        assert given.get("backup") == "backup_folder", (name, given)
        assert name != "cifar_lab.run" or given.get("resume") == "True", (name, given)


def test_the_solutions_fill_every_gap_and_are_not_in_the_hand_out(path: Path) -> None:
    handed_out, answers = read(path), solutions(path)
    own = {cell.id: cell.source for cell in tagged(handed_out, *OWN)}
    assert set(answers) == set(own)
    filled = {cell.id: cell.source for cell in done(path).cells}
    assert all("*(write here" not in filled[each] for each in own)
    everything = "\n".join(cell.source for cell in handed_out.cells)
    given = {line.strip() for line in everything.splitlines()}
    for name in own:
        lines = {line.strip() for line in filled[name].splitlines()}
        answer = lines - {line.strip() for line in own[name].splitlines()}
        assert answer, f"{name} is the same as in the hand-out"
        assert answer - given, f"the hand-out holds all of {name}'s solution"
