"""The committed notebooks, and how a notebook is run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from cifar_lab.notebook import code_digest, run_notebook

CHECKOUT = Path(__file__).parents[1]
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
REPOSITORY = re.search(
    r'^Repository = "(.+)"', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE
)[1]


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
    def test_was_executed_with_the_code_it_has_now(self, path):
        notebook = read(path)
        assert notebook.metadata["cifar_lab"]["executed_code_sha256"] == code_digest(notebook), (
            "Its code has changed since it was run: cifar-lab notebook --in-place " + path.name
        )

    def test_ran_from_top_to_bottom_without_an_error(self, path):
        cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        kinds = {output.output_type for cell in cells for output in cell.outputs}
        assert "error" not in kinds

    def test_was_executed_on_real_images(self, path):
        assert "SYNTHETIC" not in json.dumps([cell.get("outputs", "") for cell in read(path).cells])

    def test_names_the_repository_that_the_package_names(self, path):
        code = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
        assert re.findall(r'REPOSITORY = "(.+)"', code) == [REPOSITORY]
        badge = read(path).cells[0].source
        owner_and_name = REPOSITORY.removeprefix("https://github.com/")
        assert f"github/{owner_and_name}/blob/main/notebooks/{path.name})" in badge

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


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_alone_in_an_empty_folder_of_an_environment_without_the_package(path, tmp_path):
    """As in Colab: torch and the rest are there, the package is not, and there is one file."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    # The new environment sees every package of this one but cifar_lab itself.
    site = Path(subprocess.check_output([python, "-c", SITE], text=True).strip())
    for entry in Path(nbformat.__file__).parents[1].iterdir():
        if "cifar_lab" not in entry.name and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    probe = [python, "-c", "import cifar_lab"]
    assert subprocess.run(probe, cwd=tmp_path, capture_output=True).returncode != 0
    source = tmp_path / "source"  # a copy, since building leaves files where it builds
    shutil.copytree(CHECKOUT / "cifar_lab", source / "cifar_lab")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(CHECKOUT / name, source)
    before = {entry.name for entry in site.iterdir()}
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(path, alone)
    subprocess.run(
        [python, "-c", EXECUTE, path.name],
        cwd=alone,
        check=True,
        env={**os.environ, "CIFAR_LAB_SOURCE": str(source)},
    )
    installed = {entry.name for entry in site.iterdir()} - before
    assert {name.split("-")[0] for name in installed} == {"cifar_lab"}, "it installed more"
    executed = read(alone / "executed.ipynb")
    assert "SYNTHETIC STAND-IN" in json.dumps(executed)


SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
EXECUTE = """
import sys, nbformat
QUICK = {"dataset": "synthetic", "epochs": 1, "short_epochs": 1, "short_images": 500}
QUICK |= {"images": 500, "seeds": [0], "final_seeds": [0]}
QUICK |= {"trial_flops": 1e11, "ablation_epochs": 1}
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
for cell in notebook.cells:
    if "parameters" in cell.metadata.get("tags", []):
        for name, value in QUICK.items():
            if f"\\n{name} = " in f"\\n{cell.source}":
                cell.source += f"\\n{name} = {value!r}"
NotebookClient(notebook, timeout=800, kernel_name="python3").execute()
nbformat.write(notebook, "executed.ipynb")
"""
