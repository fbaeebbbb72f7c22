"""The facts that a worker is asked for; the standard library alone.

The text of this file is sent to workers, which may have another version of this package or none.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COUNTED = (".py", ".json", ".npy", ".pt")  # files of the package that results can hang on


def facts() -> dict[str, str]:
    """Return the machine, and the versions and the digest that must be the same everywhere."""
    try:
        package = importlib.import_module("cifar_lab")
        folder = Path(str(package.__file__)).parent
        own = {"package": str(package.__version__), "digest": _digest(folder)}
    except ImportError:
        own = {"package": "", "digest": ""}
    try:
        torch = version("torch").partition("+")[0]  # without the build, such as +cu126
    except PackageNotFoundError:
        torch = ""
    python = ".".join(platform.python_version_tuple()[:2])
    machine = {"host": platform.node(), "processor": _processor()}
    return {"python": python, "torch": torch, **own, **machine}


def facts_as_json() -> str:
    """Return the facts as a text that every version of Python reads."""
    return json.dumps(facts())


def _digest(folder: Path) -> str:
    """Return a digest of a package's files and their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in COUNTED and path.is_file():
            content = path.read_bytes()
            if path.suffix in (".py", ".json"):
                content = content.replace(b"\r\n", b"\n")  # git on Windows changes line ends
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line for line in text.splitlines() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()
