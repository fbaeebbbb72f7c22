"""The set-up cell by itself: where it looks for the package, and what it says if there is none."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

NOTEBOOK = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))[0]
(CELL,) = (cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.id == "set-up")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder from which neither the package nor a network is seen."""
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    monkeypatch.setattr(sys, "path", list(sys.path))
    hide_the_package(monkeypatch)
    return tmp_path / "content"


def hide_the_package(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    hidden = Path(find("cifar_lab").origin)

    def found(name, package=None):
        spec = find(name, package)
        return None if spec and spec.origin and Path(spec.origin) == hidden else spec

    monkeypatch.setattr(importlib.util, "find_spec", found)
    monkeypatch.delitem(sys.modules, "cifar_lab")


@pytest.fixture
def pip(monkeypatch):
    """What pip was asked to install; nothing is."""
    asked = []

    def run(command, **options):
        assert options["env"]["GIT_TERMINAL_PROMPT"] == "0"
        assert command[:4] == [sys.executable, "-m", "pip", "install"]
        asked.append(command[-1])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def set_up(address=None, **parameters):
    """Run the cell and return its names; `address` as `cifar-lab adopt` would set it."""
    source = CELL.source
    if address:
        (line,) = (line for line in source.splitlines() if line.startswith("ADDRESS = "))
        source = source.replace(line, f"ADDRESS = {address!r}")
    names = {"package_folder": None, "backup_folder": None, **parameters}
    exec(compile(source, "<set-up>", "exec"), names)
    return names


def wheel(folder, version="1.0"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cifar_lab-{version}-py3-none-any.whl"
    path.touch()
    return path


def test_an_installed_package_is_taken_before_anything_else(tmp_path, monkeypatch, pip, capsys):
    monkeypatch.chdir(tmp_path)
    wheel(tmp_path)
    set_up()
    assert capsys.readouterr().out.startswith("cifar_lab: found in ") and not pip


def test_a_checkout_around_the_notebook_becomes_the_working_folder(place, pip, capsys):
    package = place.parent / "cifar_lab" / "__init__.py"
    package.parent.mkdir()
    package.touch()
    set_up()
    assert Path.cwd() == place.parent and sys.path[0] == str(place.parent)
    assert capsys.readouterr().out == f"cifar_lab: found in {place.parent.name}/\n"
    assert not pip


@pytest.mark.parametrize("parameter", ["package_folder", "backup_folder"])
def test_a_wheel_is_found_in_the_folders_that_the_parameters_name(place, pip, parameter, capsys):
    given = wheel(place.parent / "handed out")
    set_up(**{parameter: str(given.parent)})
    assert pip == [str(given)]
    assert "installed from a wheel" in capsys.readouterr().out


def test_the_newest_wheel_beside_the_notebook_is_taken(place, pip):
    old, new = wheel(place, "1.1"), wheel(place, "1.0")
    os.utime(old, (1e9, 1e9))
    os.utime(new, (2e9, 2e9))
    set_up("git+https://github.com/a/b@main")
    assert [Path(one).name for one in pip] == [new.name]


def test_without_a_wheel_it_is_installed_from_the_address(place, pip, capsys):
    set_up("git+https://github.com/a/b@main", package_folder=str(place / "missing"))
    assert pip == ["git+https://github.com/a/b@main"]
    assert "installed from git+https://github.com/a/b@main" in capsys.readouterr().out


def test_the_package_is_never_asked_for_by_its_name(place, pip):
    wheel(place)
    set_up()
    assert all(one.endswith(".whl") for one in pip)
    assert '"cifar_lab"' not in CELL.source.replace('find_spec("cifar_lab")', "")
    assert "cifar-lab" not in CELL.source.replace("`cifar-lab adopt`", "")


def test_without_an_address_the_error_is_short_and_says_how_to_continue(place, pip):
    with pytest.raises(Exception, match="no address yet: see `cifar-lab adopt`") as error:
        set_up("git+https://github.com/OWNER/REPO@main")
    assert "put it next to this notebook or into package_folder" in str(error.value)
    assert error.value._render_traceback_() == str(error.value).splitlines()
    assert not pip


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("fatal: unable to access '...': Could not resolve host: github.com", "no internet"),
        ("fatal: unable to access '...': Failed to connect", "github.com can't be reached"),
        ("fatal: could not read Username for 'https://github.com'", "the repository is private"),
        ("error: pathspec 'x' did not match any file(s) known to git", "has no such branch"),
        ("ERROR: Cannot find command 'git' - do you have", "git is not installed"),
        ("one\nERROR: something else", "ERROR: something else"),
        ("", "pip failed"),
    ],
)
def test_a_failing_installation_names_the_cause(place, monkeypatch, said, cause):
    failed = SimpleNamespace(returncode=1, stderr=said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Exception, match="could not be installed from git") as error:
        set_up("git+https://github.com/a/b@main")
    assert cause in str(error.value)
    assert len(error.value._render_traceback_()) == 2


def test_a_drive_that_a_parameter_names_is_mounted(place, monkeypatch, pip):
    mounted = []
    drive = SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google", SimpleNamespace(__path__=[]))
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(__path__=[], drive=drive))
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    wheel(place)
    set_up(backup_folder="/content/drive/MyDrive/lab")
    assert mounted == ["/content/drive"]
    set_up(backup_folder="elsewhere")
    assert len(mounted) == 1
