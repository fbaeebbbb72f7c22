"""The file system that bubblewrap builds: what Python needs to run, and nothing else."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

INSIDE = Path("/sandbox")
WORK = INSIDE / "work"
WRITABLE = (WORK, Path("/tmp"), Path("/dev/shm"))  # mounts of the sandbox, not the host's
PACKAGE = Path(__file__).resolve().parents[2]
MIB = 2**20
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
EXTRAS = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/fonts",
    "/sys/devices/system/cpu",
)
USER_ID = 1000


def program() -> str | None:
    """Return the path of bubblewrap's program; None where it is not installed."""
    return shutil.which("bwrap")


def command(
    root: Path, readable: Mapping[str, Path], file_mib: int, hidden: Sequence[Path] = ()
) -> list[str]:
    """Return the command that runs another one, put after it, in a file system of its own.

    The only places to write to are file systems in memory: the work folder, the one for temporary
    files and the one for shared memory, each a little larger than `file_mib` so that crossing it
    can be seen.

    Args:
        root: Folder of this sandbox, with `inputs` and the files that describe its user.
        readable: Files and folders to put there, by name.
        file_mib: Size of the work folder, in MiB.
        hidden: Folders that must not be seen, wherever they are.
    """
    options = [program() or "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent"]
    options += ["--new-session", "--cap-drop", "ALL", "--hostname", "sandbox"]
    options += ["--uid", str(USER_ID), "--gid", str(USER_ID)]
    if _knows("--disable-userns"):  # in which it could mount further file systems
        options.append("--disable-userns")
    size = ["--size", str((file_mib + file_mib // 4 + 16) * MIB)] if _knows("--size") else []
    options += ["--proc", "/proc", "--dev", "/dev"]
    for folder in WRITABLE:  # before what may lie in one of them, such as a Python under /tmp
        options += [*size, "--tmpfs", str(folder)]
    options += _shown()
    for folder in _masked(hidden):
        options += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
    options += ["--ro-bind", str(root / "passwd"), "/etc/passwd"]
    options += ["--ro-bind", str(root / "inputs"), str(INSIDE / "inputs")]
    package = str(INSIDE / "packages" / "cifar_lab")
    options += ["--ro-bind", str(PACKAGE), package]
    if (PACKAGE / "grading").is_dir():
        options += ["--tmpfs", f"{package}/grading", "--remount-ro", f"{package}/grading"]
    for name, path in readable.items():
        options += ["--ro-bind", str(path.absolute()), str(INSIDE / "readable" / name)]
    for name in ("home", "tmp"):
        options += ["--dir", str(WORK / name)]
    options += ["--symlink", "/tmp", "/var/tmp"]
    for name in ("/dev", "/"):
        options += ["--remount-ro", name]
    return [*options, "--chdir", str(WORK), "--"]


def _shown() -> list[str]:
    """Return the options that show the system's folders and Python's."""
    options: list[str] = []
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            options += ["--ro-bind", name, name]
    for name in EXTRAS:
        options += ["--ro-bind-try", name, name]
    for folder in python_folders():
        options += ["--ro-bind", str(folder), str(folder)]
    return options


@cache
def _knows(option: str) -> bool:
    """Return whether the installed version, which may be years old, has an option."""
    listing = subprocess.run([program() or "bwrap", "--help"], capture_output=True, check=False)
    return option.encode() in listing.stdout


def python_folders() -> list[Path]:
    """Return the folders of this Python and its packages, none inside another or the system's."""
    candidates = [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix]
    candidates += [str(Path(sys.executable).resolve().parent.parent)]
    candidates += [*site.getsitepackages(), *package_paths()]
    folders: list[Path] = []
    for path in sorted({without_dots(candidate) for candidate in candidates}):
        covered = any(path.is_relative_to(folder) for folder in [*map(Path, SYSTEM), *folders])
        if path.is_dir() and not covered:
            folders.append(path)
    return folders


def interpreter() -> Path:
    """Return this Python's program; a link stays: by it, a virtual environment is found."""
    return without_dots(sys.executable)


def without_dots(path: str) -> Path:
    """Return the absolute path without `..`: the folder before that need not be there inside."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path.resolve follows links)


def package_paths() -> list[str]:
    """Return the folders of installed packages: not the current folder, nor a checkout."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]


def _masked(others: Sequence[Path]) -> list[Path]:
    """Return what must not be seen of the folders that are shown: the grader, datasets, others."""
    shown = [Path("/usr"), *python_folders()]
    is_checkout = (PACKAGE.parent / "pyproject.toml").exists()
    hidden = [PACKAGE.parent if is_checkout else PACKAGE / "grading"]
    hidden.append(Path(os.environ.get("CIFAR_LAB_DATA") or "data").resolve())
    hidden += [path.resolve() for path in others]
    masked: list[Path] = []
    for path in sorted(path for path in hidden if path.is_dir()):
        is_shown = any(path.is_relative_to(folder) for folder in shown)
        if is_shown and not any(path.is_relative_to(folder) for folder in masked):
            masked.append(path)
    return masked
