"""The notebooks in Colab's environment, in a stand-in for its session without any network.

$CIFAR_LAB_COLAB_PYTHON is the Python of an environment with `colab_requirements.txt`, which stays
as it is: what a session installs goes into a layer over it. `/content` is a new folder, `/` can't
be written to, no package index and no other machine can be reached. `.ci/run` makes the environment
where there is a Python 3.13.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from environments import CHECKOUT, folder_of_packages, make_layer, run

from cifar_lab.cli.notebook_parameters import set_parameters

pytestmark = [
    pytest.mark.slow,  # minutes for each notebook
    pytest.mark.timeout(1800),
]

STAND_IN = Path(__file__).parent / "colab"
SHORT: dict[str, dict[str, Any]] = {
    "01": {"epochs": 1, "images": 1000},
    "02": {"epochs": 1, "short_epochs": 1, "short_images": 2000},
    "03": {"epochs": 1, "images": 500, "seeds": [0], "final_seeds": [0]},
    "04": {"epochs": 1, "images": 1000, "trial_flops": 1e11, "ablation_epochs": 1},
}
DRIVE = "/content/drive/MyDrive"


@pytest.fixture(scope="session", autouse=True)
def colab() -> str:
    """The Python of Colab's environment; without it, or without bubblewrap, tests are skipped."""
    python = os.environ.get("CIFAR_LAB_COLAB_PYTHON")
    if not python:
        pytest.skip("CIFAR_LAB_COLAB_PYTHON does not name the Python of Colab's environment")
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap, which makes /content and takes the network away, is missing")
    if subprocess.run(["bwrap", "--ro-bind", "/", "/", "--unshare-net", "true"]).returncode:
        pytest.skip("bubblewrap is not permitted here")
    return python


@dataclass
class Session:
    """A new session in Colab.

    Attributes:
        python: Its Python.
        content: What is `/content` in it.
        drive: What is the student's Drive.
    """

    python: Path
    content: Path
    drive: Path

    def run(self, notebook: nbformat.NotebookNode, *, status: int = 0) -> list[Any]:
        """Run a notebook, and return the outputs of all its cells."""
        root = self.content.parent
        source, executed = root / "notebook.ipynb", root / "executed.ipynb"
        nbformat.write(notebook, source)
        command = [str(self.python), str(STAND_IN / "colab_session.py"), str(source), str(executed)]
        run([*self._shut_in(), *command], changes=self._variables(), status=status)
        cells = nbformat.read(executed, as_version=4).cells
        return [output for cell in cells for output in cell.get("outputs", [])]

    def installed(self) -> list[str]:
        """Return what was installed in it."""
        folder = folder_of_packages(self.python)
        return sorted(path.name.partition("-")[0] for path in folder.glob("*.dist-info"))

    def _shut_in(self) -> list[str]:
        """Return a command that runs another one with `/content`, and without a network."""
        places: list[str] = []
        for place in sorted(Path("/").iterdir()):
            if place.is_symlink():
                places += ["--symlink", str(place.readlink()), str(place)]
            elif place.name not in ("content", "dev", "proc"):
                places += ["--ro-bind", str(place), str(place)]
        places += ["--dev", "/dev", "--proc", "/proc", "--bind", *2 * [str(self.content.parent)]]
        places += ["--bind", str(self.content), "/content", "--chdir", "/content"]
        return ["bwrap", *places, "--unshare-net", "--die-with-parent"]

    def _variables(self) -> Mapping[str, str]:
        root = self.content.parent
        for name in ("home", "tmp"):
            (root / name).mkdir(exist_ok=True)
        return {
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "PATH": f"{self.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PIP_NO_INDEX": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "COLAB_RELEASE_TAG": "release-colab-external_20260801",
            "COLAB_STAND_IN_DRIVE": str(self.drive),
        }


@pytest.fixture
def session(colab: str, tmp_path: Path) -> Session:
    python = make_layer(colab, tmp_path / "colab")
    (folder_of_packages(python) / "stand_in.pth").write_text(f"{STAND_IN}\n")
    new = Session(python, tmp_path / "content", tmp_path / "drive")
    new.content.mkdir()
    new.drive.mkdir()
    return new


def notebook(number: str, **parameters: Any) -> nbformat.NotebookNode:
    """Return one of the course's notebooks with other parameters, on the synthetic dataset."""
    (path,) = CHECKOUT.glob(f"notebooks/{number}_*.ipynb")
    read = nbformat.read(path, as_version=4)
    for cell in read.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    set_parameters(read, {"dataset": "synthetic", **parameters})
    return read


def set_up_in(outputs: list[Any]) -> str:
    """Return what the set-up cell printed, after a look that nothing went wrong."""
    wrong = [output for output in outputs if output.output_type == "error"]
    wrong += [output for output in outputs if output.get("name") == "stderr"]
    assert not wrong
    return next(output.text for output in outputs if "cifar_lab:" in output.get("text", ""))


@pytest.mark.parametrize("number", ["01", "03"])
def test_a_notebook_runs_with_the_wheel_next_to_it(
    number: str, session: Session, wheel: Path
) -> None:
    shutil.copy(wheel, session.content)
    outputs = session.run(notebook(number, **SHORT[number]))
    assert set_up_in(outputs) == "cifar_lab: installed from a wheel\n"
    assert session.installed() == ["cifar_lab"]
    assert "runs" in [path.name for path in session.content.iterdir()]


@pytest.mark.real_data
def test_notebook_01_runs_whole_on_cifar_10(session: Session, wheel: Path, real_root: Path) -> None:
    shutil.copy(wheel, session.content)
    outputs = session.run(notebook("01", dataset="cifar10", data_folder=str(real_root.resolve())))
    assert set_up_in(outputs) == "cifar_lab: installed from a wheel\n"
    assert "SYNTHETIC" not in str(outputs)


@pytest.mark.parametrize("number", ["02", "04"])
def test_a_notebook_runs_with_the_wheel_on_drive_and_copies_go_there(
    number: str, session: Session, wheel: Path
) -> None:
    (session.drive / "course").mkdir()
    (session.drive / "mine").mkdir()  # by the student, before
    shutil.copy(wheel, session.drive / "course")
    folders = {"package_folder": f"{DRIVE}/course", "backup_folder": f"{DRIVE}/mine"}
    outputs = session.run(notebook(number, **SHORT[number], **folders))
    assert set_up_in(outputs).endswith("cifar_lab: installed from a wheel\n")
    assert session.installed() == ["cifar_lab"]
    assert any((session.drive / "mine").iterdir())


def test_colab_s_own_copy_of_the_notebook_is_handed_in(session: Session, wheel: Path) -> None:
    shutil.copy(wheel, session.content)
    begun = notebook("01").cells
    code = 'import cifar_lab\nmodel = cifar_lab.build_model("convnet")\nprint(get_ipython())\n'
    code += 'cifar_lab.submit(model, assignment="a", test_accuracy=50.0, out="in")'
    kept = [cell for cell in begun if {"parameters", "set-up"} & {*cell.metadata.get("tags", [])}]
    outputs = session.run(nbformat.v4.new_notebook(cells=[*kept, nbformat.v4.new_code_cell(code)]))
    said = "".join(output.get("text", "") for output in outputs)
    assert "google.colab._shell.Shell" in said and "as Colab holds it now" in said
    handed_in = nbformat.read(session.content / "in" / "notebook.ipynb", as_version=4)
    assert handed_in.cells[-1].source == code
    assert (session.content / "in" / "model.pt2").is_file()


@pytest.mark.parametrize(
    ("address", "cause"),
    [
        ("OWNER/REPO", "cifar_lab has no address yet"),
        ("university/course", "this runtime has no internet"),
    ],
)
def test_without_a_wheel_and_a_network_there_is_one_readable_message(
    address: str, cause: str, session: Session
) -> None:
    begun = notebook("01")
    for cell in begun.cells:
        cell.source = cell.source.replace("OWNER/REPO", address)
    (output,) = session.run(begun, status=1)
    assert output.output_type == "error" and cause in output.evalue
    assert output.traceback == output.evalue.splitlines()
    assert len(output.evalue) < 500 and "cifar_lab-....whl" in output.evalue
    assert not session.installed()
