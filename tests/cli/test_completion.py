"""Completion in the shell: what argcomplete is told, and that nothing else pays for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_lab.experiments.facts import FACTS, GROUPS


def complete(line: str, folder: Path) -> list[str]:
    """Return what the shell would offer behind a command line."""
    answers = folder / "answers"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "cifar_lab"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return [word.strip() for word in answers.read_text().split("\n")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cifar-lab no", {"notebook"}),
        ("cifar-lab run assignment-", {name for name in GROUPS if name.startswith("assign")}),
        ("cifar-lab run cifar100-", {name for name in FACTS if name.startswith("cifar100-")}),
        ("cifar-lab table ru", {"runs/"}),
        ("cifar-lab run cifar10-mlp --res", {"--resume"}),
    ],
)
def test_commands_names_and_folders_are_completed(
    line: str, expected: set[str], tmp_path: Path
) -> None:
    pytest.importorskip("argcomplete", reason="argcomplete is not installed: optional")
    (tmp_path / "runs").mkdir()
    assert set(complete(line, tmp_path)) == expected


def test_without_a_shell_that_asks_argcomplete_is_not_imported() -> None:
    code = "import sys; from cifar_lab.cli.main import main; main(['list'])"
    code += "; sys.exit('argcomplete' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "_ARGCOMPLETE"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
