"""Values for a notebook's parameters; running the changed cell says whether they arrived."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from cifar_lab.cli.notebook_parameters import UnknownParameterError, set_parameters


def notebook_of(*sources: str, cell_type: str = "code") -> NotebookNode:
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    cells = [make[cell_type](source, metadata={"tags": ["parameters"]}) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def changed(source: str, **values: Any) -> str:
    notebook = notebook_of(source)
    set_parameters(notebook, values)
    return notebook.cells[0].source


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(source, names)
    return names


@pytest.mark.parametrize(
    "source",
    [
        "epochs = 3",
        "epochs=3",
        "epochs   =   3",
        "epochs: int = 3",
        "epochs: int",
        "epochs = (3)",
        "epochs = (\n    3\n    + 4\n)",
        "epochs = 1 + \\\n    2",
        "epochs = [\n    0,  # the first\n    1,\n]",
        'epochs = """\nseveral\nlines"""',
        "epochs = 1, 2",
        "rate = 0.1; epochs = 2; other = 3",
        "epochs = 3\nepochs = 4",
        "epochs = other = 3",
        "other = epochs = 3  # both",
        "epochs, other = 1, 2",
        "(other, [epochs, *rest]) = 1, [2, 3]",
        "epochs = 1\nepochs += 4",
        "if True:\n    epochs = 3\nelse:\n    epochs = 4",
        "if False: epochs = 3",
        "try:\n    epochs = int('x')\nexcept ValueError:\n    epochs = 4",
        "word = 'é → 日本'; epochs = 3  # ü",
        "note = '''\nepochs = 7\n% of images\n'''\nepochs = 3",
        "epochs = 3\r\nrate = 0.1\r\n",
        "def fit():\n    epochs = 4\n    return epochs\nepochs = 3",
        "epochs = 3 #@param {type:'integer'}",
    ],
)
def test_a_value_arrives_however_the_name_is_assigned(source: str) -> None:
    before, after = run(source), run(changed(source, epochs=[5, "ß"]))
    assert after["epochs"] == [5, "ß"]
    for name, value in before.items():
        if name not in ("__builtins__", "epochs") and not callable(value):
            assert after[name] == value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("epochs = 3  # of the run", "epochs = 5  # of the run"),
        ("epochs: int=3# short", "epochs: int=5# short"),
        ("a = 'ä#'; epochs = 3  # ö = 4", "a = 'ä#'; epochs = 5  # ö = 4"),
        ("epochs = 3\n\n# epochs = 4\n", "epochs = 5\n\n# epochs = 4\n"),
        ("a = epochs = 3  # both", "a = epochs = 3; epochs = 5  # both"),
    ],
)
def test_what_stands_around_the_value_stays(source: str, expected: str) -> None:
    assert changed(source, epochs=5) == expected


def test_what_is_computed_from_a_parameter_follows_it() -> None:
    assert run(changed("a = b = 4\nepochs = 3\nshort = epochs * b", epochs=5, b=7))["short"] == 35


@pytest.mark.parametrize(
    "value", [None, True, -1.5, 1e-300, 'it\'s "a"\n\\x', "\ud800", (1,), {"a": [1, {2}]}, b"\0"]
)
def test_values_of_every_literal_type_arrive_as_they_are(value: Any) -> None:
    assert run(changed("epochs = 3", epochs=value))["epochs"] == value


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), [object()]])
def test_a_value_that_is_no_literal_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"'epochs' is .*expected what Python can write"):
        changed("epochs = 3", epochs=value)


@pytest.mark.parametrize(
    "line",
    [
        "%matplotlib inline",
        "!pip install 'it",
        "!pip install \\\n    timm \\\n    wandb",
        "%%time",
        "?len",
        "len?",
        "np.zeros??",
        "files = !ls",
        "home = %env HOME",
        "if True:\n    !pip install timm",
    ],
)
def test_lines_of_ipython_are_left_as_they_are(line: str) -> None:
    assert changed(f"{line}\nepochs = 3\n{line}", epochs=5) == f"{line}\nepochs = 5\n{line}"


def test_the_restored_source_is_that_of_before() -> None:
    notebook = notebook_of("a = 1\r\n", "b = 2")
    assert set_parameters(notebook, {"a": 5}) == {0: "a = 1\r\n", 1: "b = 2"}


def test_several_parameters_cells_count_together() -> None:
    notebook = notebook_of("a = 1", "b = 2\na = 3")
    set_parameters(notebook, {"a": 5, "b": 6})
    assert [cell.source for cell in notebook.cells] == ["a = 5", "b = 6\na = 5"]


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    notebook = notebook_of("a: int = 1; b, c = 2, 3\nd[0] = 4\nimport e", "f = 1")
    with pytest.raises(
        UnknownParameterError, match=r"no parameter 'g'; it has a, b, c, f\."
    ) as error:
        set_parameters(notebook, {"a": 5, "g": 6})
    assert error.value.name == "g"
    assert notebook.cells[0].source.startswith("a: int = 1;")


@pytest.mark.parametrize("notebook", [notebook_of(), notebook_of("a = 1", cell_type="markdown")])
def test_a_notebook_without_parameters_cell_has_none_to_set(notebook: NotebookNode) -> None:
    with pytest.raises(UnknownParameterError, match="no cell tagged 'parameters' to set 'a' in"):
        set_parameters(notebook, {"a": 1})
    assert set_parameters(notebook, {}, {"a": 1}) == {}


def test_an_optional_value_counts_only_where_the_name_is_and_nothing_else_is_given() -> None:
    notebook = notebook_of("a = 1; b = 2")
    set_parameters(notebook, {"b": 4}, {"a": 5, "b": 6, "c": 7})
    assert run(notebook.cells[0].source)["b"] == 4
    assert notebook.cells[0].source == "a = 5; b = 4"


@pytest.mark.parametrize("source", ["%%bash\necho hello there", "a = = 3", "a = '\0'", "print 'x'"])
def test_a_cell_that_is_not_python_matters_only_where_a_value_is_asked_for(source: str) -> None:
    with pytest.raises(ValueError, match="cell tagged 'parameters' is not Python"):
        changed(source, a=5)
    notebook = notebook_of(source)
    set_parameters(notebook, {}, {"a": 5})
    assert notebook.cells[0].source == source
