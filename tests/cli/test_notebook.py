"""The committed notebooks, and how a notebook is run."""

import atexit
import codecs
import io
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from cli_terminal import press_ctrl_c
from nbclient import NotebookClient

from cifar_lab.cli.main import main
from cifar_lab.cli.notebook import code_digest, read_notebook, run_notebook

CHECKOUT = Path(__file__).parents[2]
# Notebooks whose code has changed since they were executed, by their number.
DUE = {"02", "03", "04"}
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def notebook_of(tmp_path, *sources):
    """A notebook with a parameters cell (`number = 1`) and the given code cells."""
    parameters = nbformat.v4.new_code_cell("number = 1  # a count\nword = 'a'")
    parameters.metadata["tags"] = ["parameters"]
    cells = [parameters, *map(nbformat.v4.new_code_cell, sources)]
    path = tmp_path / "lesson.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def printed(notebook):
    return "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )


@pytest.fixture(autouse=True)
def _quiet_kernel(monkeypatch):
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestCommittedNotebook:
    def test_was_executed_with_the_code_it_has_now(self, path, request):
        if path.stem[:2] in DUE:
            request.applymarker(pytest.mark.xfail(strict=True, reason="to be executed again"))
        notebook = read(path)
        assert notebook.metadata["cifar_lab"]["executed_code_sha256"] == code_digest(notebook), (
            "Its code has changed since it was run: cifar-lab notebook --in-place " + path.name
        )

    def test_ran_from_top_to_bottom_without_an_error(self, path, request):
        if path.stem[:2] in DUE:
            request.applymarker(pytest.mark.xfail(strict=True, reason="to be executed again"))
        cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        kinds = {output.output_type for cell in cells for output in cell.outputs}
        assert "error" not in kinds

    def test_was_executed_on_real_images(self, path):
        assert "SYNTHETIC" not in json.dumps([cell.get("outputs", "") for cell in read(path).cells])

    def test_shows_nothing_of_the_machine_it_ran_on(self, path):
        text = path.read_text()
        for place in (str(CHECKOUT), str(Path.home()) + "/", "/tmp/"):
            assert place not in text


def test_parameters_reach_the_notebook_and_outputs_are_kept(tmp_path):
    path = notebook_of(tmp_path, "print(number * 2, word)")
    before = path.read_bytes()
    folder = run_notebook(path, tmp_path / "out", {"number": 21})
    assert printed(read(folder / "lesson.ipynb")) == "42 a\n"
    assert "42 a" in (folder / "lesson.html").read_text()
    assert path.read_bytes() == before


def test_in_place_stores_outputs_but_not_the_parameters(tmp_path):
    path = notebook_of(tmp_path, "print(number)")
    run_notebook(path, tmp_path / "out", {"number": 5}, in_place=True)
    notebook = read(path)
    assert notebook.cells[0].source.startswith("number = 1  # a count")
    assert printed(notebook) == "5\n"
    assert notebook.metadata["cifar_lab"]["executed_code_sha256"] == code_digest(notebook)


def test_only_the_last_state_of_a_progress_bar_is_kept(tmp_path):
    path = notebook_of(tmp_path, "for i in range(5): print(f'\\r{i}', end='', flush=True)")
    folder = run_notebook(path, tmp_path / "out", {})
    assert printed(read(folder / "lesson.ipynb")).strip() == "4"


def test_a_cell_finds_the_copy_with_the_outputs_up_to_it(tmp_path):
    look = "import os; from pathlib import Path"
    look += "; print('cell.' + 'outputs' in Path(os.environ['CIFAR_LAB_NOTEBOOK']).read_text())"
    path = notebook_of(tmp_path, "print('cell.' + 'outputs')", look)
    folder = run_notebook(path, tmp_path / "out", {})
    assert printed(read(folder / "lesson.ipynb")) == "cell.outputs\nTrue\n"


def test_a_failing_cell_is_reported_and_what_ran_is_kept(tmp_path):
    path = notebook_of(tmp_path, "print('before')", "1 / 0", "print('after')")
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        run_notebook(path, tmp_path / "out", {}, in_place=True)
    kept = read(tmp_path / "out" / "lesson" / "lesson.ipynb")
    assert printed(kept) == "before\n"
    assert printed(read(path)) == "", "a failed run must not replace the notebook's outputs"


def test_a_second_run_keeps_the_first_ones_files(tmp_path):
    path = notebook_of(tmp_path)
    folders = [run_notebook(path, tmp_path / "out", {}) for _ in range(2)]
    assert folders[0] != folders[1]


def test_an_unknown_parameter_is_named_with_the_known_ones(tmp_path):
    path = notebook_of(tmp_path)
    with pytest.raises(ValueError, match="no parameter 'nubmer'; it has number, word"):
        run_notebook(path, tmp_path / "out", {"nubmer": 5})


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.ipynb"):
        run_notebook(tmp_path / "nowhere.ipynb", tmp_path, {})


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_a_notebook_that_an_editor_on_windows_saved_is_read(tmp_path, mark, newline):
    path = notebook_of(tmp_path, "print('é ✓')")
    path.write_bytes(mark + path.read_bytes().replace(b"\n", newline))
    assert [cell.source for cell in read_notebook(path).cells][1] == "print('é ✓')"


def test_a_notebook_of_format_3_is_upgraded(tmp_path):
    path = tmp_path / "old.ipynb"
    cell = {"cell_type": "code", "language": "python", "input": ["a = 1\n", "a"], "outputs": []}
    sheet = {"cells": [cell, {"cell_type": "heading", "level": 2, "source": "Two"}]}
    path.write_text(json.dumps({"nbformat": 3, "nbformat_minor": 0, "worksheets": [sheet]}))
    notebook = read_notebook(path)
    assert notebook.nbformat == 4
    assert [cell.source for cell in notebook.cells] == ["a = 1\na", "## Two"]


def test_fields_that_a_program_left_out_are_added(tmp_path):
    path = tmp_path / "short.ipynb"
    cells = [{"cell_type": "code", "source": "print(6 * 7)"}]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "cells": cells}))
    folder = run_notebook(path, tmp_path / "out", {})
    assert printed(read(folder / "short.ipynb")) == "42\n"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (codecs.BOM_UTF8 + b"\n", "is empty"),
        (b"print(1)\n", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe{\0}\0", "is not text in UTF-8"),
        (b"[1, 2]", "is JSON, but not of a notebook"),
        (b'{"cells": []}', "is JSON, but not of a notebook"),
        (b'{"nbformat": "4", "cells": []}', "is JSON, but not of a notebook"),
        (b'{"nbformat": 9, "cells": []}', "is a notebook of format 9"),
        (b'{"nbformat": 4, "nbformat_minor": 4}', "is a damaged notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 4, "cells": [3]}', "is a damaged notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 4, "cells": null}', "is a damaged notebook"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "is a damaged notebook"),
        (b'{"nbformat": 4, "cells": [{"source": "1"}]}', "is a damaged notebook"),
        (b'{"nbformat": 3, "worksheets": [{}]}', "is a damaged notebook"),
    ],
)
def test_a_file_that_is_no_notebook_is_one_line_that_says_what_it_is(
    tmp_path, capsys, content, what
):
    path = tmp_path / "file.ipynb"
    path.write_bytes(content)
    assert main(["notebook", str(path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cifar-lab: {path} {what}") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_in_place_of_a_notebook_is_named(tmp_path, capsys):
    assert main(["notebook", str(tmp_path)]) == 1
    assert f"{tmp_path} is a folder; expected a Jupyter notebook" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_a_character_does_not_end_the_run(tmp_path, monkeypatch, encoding):
    path = notebook_of(tmp_path, "print('✓ 52 %')", "print('second')")
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", console)
    folder = run_notebook(path, tmp_path / "out", {})
    assert printed(read(folder / "lesson.ipynb")) == "✓ 52 %\nsecond\n"
    assert b"\\u2713 52 %\nsecond\n" in console.buffer.getvalue()


def test_the_kernel_is_the_python_that_runs_the_command(tmp_path, monkeypatch):
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    spec = {"argv": ["/no/such/python"], "display_name": "Other", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(other.parents[1]))
    path = notebook_of(tmp_path, "import sys; print(sys.executable)")
    folder = run_notebook(path, tmp_path / "out", {})
    assert printed(read(folder / "lesson.ipynb")).strip() == sys.executable


@pytest.mark.parametrize("package", ["ipykernel", "nbclient"])
def test_without_jupyter_s_packages_the_error_says_what_to_install(tmp_path, monkeypatch, package):
    for name in list(sys.modules):
        if name == "cifar_lab.cli.notebook_client" or name.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'cifar-lab\[notebook\]'"):
        run_notebook(notebook_of(tmp_path), tmp_path / "out", {})


def test_a_kernel_that_dies_is_one_message_with_the_cell(tmp_path, capfd):
    path = notebook_of(tmp_path, "print('before', flush=True)", "import os; os._exit(3)")
    assert main(["notebook", str(path), "--out", str(tmp_path)]) == 1
    error = capfd.readouterr().err
    assert f"cifar-lab: The kernel died in code cell 3 of {path}" in error
    assert "Traceback" not in error
    assert printed(read(tmp_path / "notebooks" / "lesson" / "lesson.ipynb")) == "before\n"


def test_a_kernel_that_does_not_start_is_one_message(tmp_path, monkeypatch, capfd):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import os; os._exit(4)")
    monkeypatch.setenv("IPYTHONDIR", str(startup.parents[1]))
    at_the_end = []
    monkeypatch.setattr(atexit, "register", at_the_end.append)
    path = notebook_of(tmp_path, "print(1)")
    assert main(["notebook", str(path), "--out", str(tmp_path)]) == 1
    for clean_up in at_the_end:
        if isinstance(clean_up.__self__, NotebookClient):
            clean_up()
    error = capfd.readouterr().err
    assert f"cifar-lab: The kernel for {path} did not start" in error
    assert "Traceback" not in error


@pytest.mark.skipif(os.name == "nt", reason="sends a signal as Ctrl-C does on Unix")
def test_an_interrupt_ends_the_kernel_and_keeps_what_ran(tmp_path, capfd):
    interrupt = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGINT); time.sleep(600)"
    path = notebook_of(tmp_path, "print('before')", interrupt, "print('after')")
    before = path.read_bytes()
    assert main(["notebook", str(path), "--out", str(tmp_path), "--in-place"]) == 130
    captured = capfd.readouterr()
    folder = tmp_path / "notebooks" / "lesson"
    first, _, command = captured.err.strip().splitlines()
    assert first.startswith(
        "cifar-lab: Interrupted in code cell 3. Saved up to there: lesson.ipynb"
    )
    assert first.endswith((folder / "lesson.html").as_uri())
    assert command == f"  cifar-lab notebook {path} --out {tmp_path} --in-place"
    assert printed(read(folder / "lesson.ipynb")) == "before\n"
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(
    "shown",
    [*(pytest.param(text, marks=pytest.mark.slow) for text in ("Running ", "[2/4]")), "before"],
)
def test_ctrl_c_on_a_terminal_ends_without_a_traceback_wherever_it_comes(tmp_path, shown):
    """It reaches every process of the terminal, and here comes three times."""
    path = notebook_of(tmp_path, "print('before')", "import time; time.sleep(600)")
    notebook = read(path)
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell("## Training"))
    nbformat.write(notebook, path)
    command = ["notebook", str(path), "--out", str(tmp_path)]
    status, text = press_ctrl_c(command, after=shown, times=3)
    assert status == 130, text
    assert "Traceback" not in text and "exception" not in text.lower()
    page = tmp_path / "notebooks" / "lesson" / "lesson.html"
    if shown != "Running ":  # too early for a page
        assert page.as_uri() in text.partition("Interrupted ")[2] and page.exists()
    assert f"cifar-lab notebook {path} --out {tmp_path}" in text


def test_the_place_of_the_page_and_of_the_runs_is_told_at_the_start(tmp_path, capsys, monkeypatch):
    path = notebook_of(tmp_path, "print(results_folder)")
    notebook = read(path)
    notebook.cells[0].source += "\nresults_folder = 'runs'"
    nbformat.write(notebook, path)
    assert main(["notebook", str(path), "--out", str(tmp_path / "there")]) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / "there" / "notebooks" / "lesson"
    page = (folder / "lesson.html").as_uri()
    assert lines[0] == f"Running {path}. At the end its page is {page}"
    assert lines[1] == f"The results of its trainings go to {tmp_path / 'there'}."
    assert lines[2] == str(tmp_path / "there")
    assert lines[-1] == f"Saved lesson.ipynb in {folder}, and its page: {page}"
    monkeypatch.chdir(tmp_path)
    assert main(["notebook", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[2] == str(tmp_path / "runs")
    assert main(["notebook", str(path), "--in-place"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "The results of its trainings go to runs, seen from the folder in which its cells work.",
        "runs",
    ]


def test_the_headings_that_are_reached_are_printed(tmp_path, capsys):
    path = notebook_of(tmp_path, "print(1)")
    notebook = read(path)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# First\n\ntext"))
    notebook.cells.insert(2, nbformat.v4.new_markdown_cell("Some text.\n\n### Second ###"))
    nbformat.write(notebook, path)
    run_notebook(path, tmp_path / "out", {})
    assert capsys.readouterr().out.splitlines()[1:-1] == ["[1/4] First", "[3/4] Second", "1"]


def test_a_kernel_prints_no_warnings_of_its_own(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("PYDEVD_DISABLE_FILE_VALIDATION")
    run_notebook(notebook_of(tmp_path, "print(1)"), tmp_path / "out", {})
    assert capfd.readouterr().err == ""


def test_cells_that_were_not_reached_show_no_earlier_outputs(tmp_path):
    path = notebook_of(tmp_path, "print(number)", "assert number == 1", "print('last')")
    run_notebook(path, tmp_path / "out", {}, in_place=True)
    with pytest.raises(ValueError, match="AssertionError"):
        run_notebook(path, tmp_path / "out", {"number": 2})
    assert printed(read(tmp_path / "out" / "lesson-2" / "lesson.ipynb")) == "2\n"


def test_out_chooses_the_folder_of_a_notebook_without_parameters(tmp_path, capsys):
    path = tmp_path / "own.ipynb"
    cells = [nbformat.v4.new_code_cell("print(6 * 7)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert main(["notebook", str(path), "--out", str(tmp_path / "there")]) == 0
    assert printed(read(tmp_path / "there" / "notebooks" / "own" / "own.ipynb")) == "42\n"
    for option, value, name in [
        ("--dataset", "synthetic", "dataset"),
        ("--data", "there", "data_folder"),
    ]:
        assert main(["notebook", str(path), option, value]) == 1
        error = capsys.readouterr().err
        assert repr(name) in error and f"leave {option} out, or assign {name} in" in error


@pytest.mark.slow
def test_a_training_leaves_no_red_and_no_progress_bar_in_the_notebook(tmp_path, capfd):
    train = """
import cifar_lab as lab
recipe = lab.Recipe(epochs=2, batch_size=50, optimizer="adam", learning_rate=1e-3)
data, curves = lab.load("synthetic"), lab.plots.LiveCurves()
history = lab.fit(lab.build_model("mlp"), data.train, recipe, callback=curves)
"""
    folder = run_notebook(notebook_of(tmp_path, train), tmp_path / "out", {})
    (cell,) = (cell for cell in read(folder / "lesson.ipynb").cells if "lab.fit" in cell.source)
    assert {output.get("name") for output in cell.outputs} <= {"stdout", None}
    lines = [line for output in cell.outputs for line in output.get("text", "").splitlines()]
    assert [line.split()[0] for line in lines] == ["Training", "About", "epoch", "epoch"]
    shown, bars = capfd.readouterr()
    assert "train loss" in shown and "it/s" not in shown and "it/s" in bars
