"""What the tests of the stage share: the package's wheel, and throw-away Python environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
ALWAYS_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
NOT_INHERITED = {"PYTHONPATH", "VIRTUAL_ENV", "CIFAR_LAB_DATA", "CIFAR_LAB_NOTEBOOK"}


def build_wheel(folder: Path) -> Path:
    """Return the wheel that `python -m build` makes from a copy of the checkout, without a network.

    Args:
        folder: The copy is its sub-folder `checkout`. Its caches were used.
    """
    copy, out = folder / "checkout", folder / "dist"

    def left_out(where: str, names: list[str]) -> set[str]:
        ours = {"build", "data", "dist", "runs"} if Path(where) == CHECKOUT else set()
        return ALWAYS_LEFT_OUT(where, names) | ours

    shutil.copytree(CHECKOUT, copy, ignore=left_out)
    cache = copy / "cifar_lab" / "utils" / "__pycache__" / "files.cpython-310.pyc"
    cache.parent.mkdir()
    cache.write_bytes(b"of a run in the checkout")
    # The wheel is built from the archive of sources, so that is complete too.
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out)], copy)
    (wheel,) = out.glob("*.whl")
    return wheel


def make_layer(python: str | Path, folder: Path) -> Path:
    """Return the Python of an environment over another one, whose packages it sees.

    What is installed into it leaves the other one as it is. Editable packages and pytest's plugins
    of the other one are not there.

    Args:
        python: The other environment's.
        folder: Where the environment is made.
    """
    run([str(python), "-m", "venv", "--without-pip", str(folder)])
    mine = folder / "bin" / "python"
    (folder_of_packages(mine) / "below.pth").write_text(f"{folder_of_packages(python)}\n")
    (folder / "share").symlink_to(Path(python).parents[1] / "share")  # Jupyter's templates
    return mine


def folder_of_packages(python: str | Path) -> Path:
    """Return the folder into which a Python installs packages."""
    question = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run([str(python), "-c", question]).strip())


def run(
    command: list[str],
    folder: Path | None = None,
    *,
    changes: Mapping[str, str] | None = None,
    status: int = 0,
) -> str:
    """Return what a command prints; it must end with the status.

    Args:
        command: The program and its arguments.
        folder: Where it runs.
        changes: Further environment variables.
        status: The expected exit status.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, **(changes or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
