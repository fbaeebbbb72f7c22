"""The wheel that `python -m build` makes: what is inside, how large it is, and that it suffices."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from environments import CHECKOUT, make_layer, run

from cifar_lab.cli.notebook_parameters import set_parameters

pytestmark = pytest.mark.slow  # seconds for the build, a minute for the notebook

MOST_BYTES = 5_200_000
LARGE = {  # more than 100 kB packed: a further one is a decision
    "cifar_lab/data/test_fingerprints.npy",
    "cifar_lab/experiments/weights/cifar10-frontier-wide.pt",
    "cifar_lab/experiments/weights/cifar100-frontier.pt",
}
LEFT_OUT = {"cifar_lab/benchmark/speed.png"}  # the README's picture


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which the wheel is installed."""
    python = make_layer(sys.executable, tmp_path_factory.mktemp("layer"))
    # The environment below has the package too, which must not count as installed.
    options = ["--quiet", "--no-index", "--no-deps", "--ignore-installed"]
    run([str(python), "-m", "pip", "install", *options, str(wheel)])
    return python


def test_all_of_the_package_is_inside_and_nothing_else(wheel: Path) -> None:
    copy = wheel.parents[1] / "checkout"
    files = {path.relative_to(copy) for path in copy.glob("cifar_lab/**/*") if path.is_file()}
    package = {path.as_posix() for path in files if path.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if ".dist-info/" not in name} == package - LEFT_OUT
    for pattern in (
        "experiments/weights/*.pt",
        "experiments/published_runs/*/*.json",
        "data/test_fingerprints.npy",
        "grading/notebook_a.md",
        "__init__.pyi",
        "py.typed",
    ):
        assert any(Path(name).match(f"cifar_lab/{pattern}") for name in names), pattern


def test_it_has_not_grown_by_accident(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        large = {one.filename for one in archive.infolist() if one.compress_size > 100_000}
    assert large == LARGE
    assert wheel.stat().st_size < MOST_BYTES


def test_doctor_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    report = run([str(installed.with_name("cifar-lab")), "doctor"], tmp_path)
    assert "cifar-lab" in report and str(tmp_path) in report
    where = run([str(installed), "-c", "import cifar_lab; print(cifar_lab.__file__)"], tmp_path)
    assert Path(where).is_relative_to(installed.parents[1])
    assert not list(tmp_path.iterdir())


def test_a_notebook_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    (source,) = CHECKOUT.glob("notebooks/01_*.ipynb")
    notebook = nbformat.read(source, as_version=4)
    set_parameters(notebook, {"dataset": "synthetic", "epochs": 1, "images": 200})
    work, away = tmp_path / "work", tmp_path / "away"
    work.mkdir(), away.mkdir()
    nbformat.write(notebook, away / source.name)
    command = [str(installed.with_name("cifar-lab")), "notebook", str(away / source.name)]
    run([*command, "--out", str(work)], work)
    (executed,) = work.glob("notebooks/*/*.ipynb")
    assert "cifar_lab: found in site-packages/" in executed.read_text(encoding="utf-8")
