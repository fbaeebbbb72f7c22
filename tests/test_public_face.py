"""The package's public names, and what is imported before any of them is used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest

import cifar_lab
from cifar_lab.grading.isolation.sandbox import Limits, run_isolated

HEAVY = ("torch", "torchvision", "numpy", "matplotlib")
STUB = ast.parse(Path(cifar_lab.__file__).with_suffix(".pyi").read_text())
SAY = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"


def imported_by(code: str) -> list[str]:
    """Return the heavy packages that a new Python has imported after this code."""
    command = [sys.executable, "-c", f"{code}\n{SAY}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1].split()


def public_names() -> list[str]:
    (names,) = [ast.literal_eval(node.value) for node in STUB.body if isinstance(node, ast.Assign)]
    return names


def imported_in_the_stub(*, rooms: bool) -> list[str]:
    """Return the names that the stub imports: the rooms themselves, or what lies in them."""
    statements = [node for node in STUB.body if isinstance(node, ast.ImportFrom)]
    return [
        each.name for node in statements if (node.module is None) is rooms for each in node.names
    ]


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(cifar_lab, name) is not None
    assert name in dir(cifar_lab)


def test_the_stub_states_each_public_name_once() -> None:
    assert sorted(public_names()) == sorted(imported_in_the_stub(rooms=False))
    assert len(set(public_names())) == len(public_names())


def test_every_room_is_in_the_stub() -> None:
    folder = Path(cifar_lab.__file__).parent
    rooms = {path.parent.name for path in folder.glob("*/__init__.py")}
    rooms |= {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert rooms == set(imported_in_the_stub(rooms=True))


def test_nothing_else_is_shown_but_the_reporting_room_and_the_version() -> None:
    code = "import cifar_lab, cifar_lab.cli.main; cifar_lab.run; print(*dir(cifar_lab))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) == {*public_names(), "reporting", "__version__"}


def test_the_version_is_that_of_the_installed_package() -> None:
    assert cifar_lab.__version__ == version("cifar-lab")


def test_type_checkers_are_told_that_the_package_has_types() -> None:
    """Without the marker, which the wheel must hold, they take everything for `Any`."""
    assert Path(cifar_lab.__file__).with_name("py.typed").exists()
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '"py.typed"' in project and '"*.pyi"' in project


def test_a_star_import_brings_the_public_names_alone() -> None:
    brought: dict[str, object] = {}
    exec("from cifar_lab import *", brought)
    assert sorted(brought.keys() - {"__builtins__"}) == sorted(public_names())


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        cifar_lab.no_such_name  # noqa: B018


def test_torch_is_imported_with_the_first_name_that_needs_it() -> None:
    assert imported_by("import cifar_lab, cifar_lab.grading, cifar_lab.grading.sessions") == []
    assert "torch" in imported_by("import cifar_lab; cifar_lab.Recipe")


def test_the_grader_is_imported_with_check_submission_only() -> None:
    code = """
import sys, cifar_lab
for name in ("submit", "run", "fit", "check_submission"):
    getattr(cifar_lab, name)
    print(name, "cifar_lab.grading" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split()[1::2] == ["False"] * 3 + ["True"]


COMMANDS = ("list", "run", "table", "evaluate", "notebook", "doctor", "grade", "bench")


@pytest.mark.parametrize("arguments", [("--help",), ("list",), *((c, "--help") for c in COMMANDS)])
def test_help_and_list_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    code = f"""
from cifar_lab.cli.main import main
try:
    status = main({list(arguments)})
except SystemExit as exit_:
    status = exit_.code
assert status == 0
"""
    assert imported_by(code) == []


@pytest.mark.parametrize("module", ["cifar_lab", "cifar_lab.cli.main"])
def test_the_command_line_is_also_a_module(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("usage: cifar-lab")


def test_another_project_s_pytest_run_imports_nothing_heavy(tmp_path: Path) -> None:
    test = f"""
import sys

def test_what_is_imported(request):
    assert request.config.getoption("assignment") is None  # the plugin's options are there
    assert [name for name in {HEAVY} if name in sys.modules] == []
"""
    (tmp_path / "test_other_project.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_submission_can_run_pytest_in_the_sandbox() -> None:
    """The sandbox hides the grader, but pytest loads the package's plugin all the same."""
    code = """
import child, subprocess, sys
command = [sys.executable, "-m", "pytest", "--version"]
child.answer({"status": subprocess.run(command, check=False).returncode})
"""
    limits = Limits(wall_seconds=300.0, cpu_seconds=300)
    outcome = run_isolated(code, arguments={}, arrays={}, readable={}, limits=limits)
    assert outcome.answer == {"status": 0}, outcome


def test_grading_needs_no_server_and_no_browser() -> None:
    needed = [one for one in requires("cifar-lab") or [] if 'extra == "grading"' in one]
    assert len(needed) > 5
    for package in ("jupyter", "jupyterlab", "notebook", "playwright", "selenium", "flask"):
        assert not any(re.match(rf"{package}\b(?!-)", one) for one in needed), package
