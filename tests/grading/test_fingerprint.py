"""The fingerprint of a grade: which of the grading's files are in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cifar_lab.grading.sessions import fingerprint as subject
from cifar_lab.grading.sessions.fingerprint import GRADING, checks_version, files_of_checks

PACKAGE = "cifar_lab.grading"


def module_file(name: str) -> Path | None:
    """The file of a module of the grading; None for one of something else."""
    if not name.startswith(f"{PACKAGE}."):
        return None
    path = GRADING.joinpath(*name.split(".")[2:])
    found = [each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()]
    return found[0] if found else None


def imported_files(path: Path) -> set[Path]:
    """The grading's files that a file's import statements name, wherever they stand."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return {file for name in names if (file := module_file(name)) is not None}


def test_all_that_grading_one_submission_imports_is_in_it() -> None:
    counted, waiting = set(files_of_checks()), [GRADING / "sessions" / "grade.py"]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        # The fingerprint itself is no verdict, and a package of pages is only on the way.
        if path not in seen and path not in (
            Path(subject.__file__),
            GRADING / "reports/__init__.py",
        ):
            seen.add(path)
            waiting += imported_files(path)
    assert len(seen) > 30
    assert seen <= counted | {GRADING / "sessions/__init__.py"}
    assert set((GRADING / "sandboxed").glob("*.py")) <= counted
    for name in ("given_cells.txt", "platform_packages.txt", "notebook_a.md", "template_b.md"):
        assert GRADING / name in counted, "the checks read it"


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ("reports/student_page.py", False),
        ("gradebook/book.py", False),
        ("collecting/collect.py", False),
        ("autograder/wheel.py", False),
        ("sessions/running.py", False),
        ("README.md", False),
        ("reports/readable.py", True),
        ("sessions/grade.py", True),
        ("checks/model.py", True),
        ("sandboxed/seen.py", True),
        ("platform_packages.txt", True),
    ],
)
def test_only_a_file_by_which_a_grade_may_change_changes_it(
    changed: str, matters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, read = checks_version.__wrapped__(), Path.read_bytes
    file = GRADING / changed
    assert file.is_file()
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path == file))
    assert (checks_version.__wrapped__() != before) == matters
