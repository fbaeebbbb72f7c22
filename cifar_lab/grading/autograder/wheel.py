"""This package as a wheel, made of its installed files: no build tool, no network, no checkout."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import cifar_lab

NAME = "cifar-lab"
OWN_NAME = re.compile(r"cifar[-_.]lab(?![\w.-])", re.IGNORECASE)
REQUIREMENT = re.compile(r"([^;]+?)\s*(?:;\s*extra\s*==\s*['\"]([\w-]+)['\"])?")
WHEEL = "Wheel-Version: 1.0\nGenerator: cifar-lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def package_files() -> Iterator[tuple[str, bytes]]:
    """Yield each file of this package, with its name from the package's folder on."""
    package = Path(cifar_lab.__file__).parent
    for path in sorted(package.rglob("*")):
        parts = path.relative_to(package.parent).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield "/".join(parts), path.read_bytes()


def wheel() -> tuple[str, bytes]:
    """Return the name and the content of the package's wheel.

    Raises:
        ValueError: The package is not installed, so that its requirements are not known.
    """
    installed, content = _installed(), io.BytesIO()
    base = f"cifar_lab-{cifar_lab.__version__}"
    # The second is of a checkout that Python runs in, before what is installed.
    metadata = installed.read_text("METADATA") or installed.read_text("PKG-INFO")
    described = {"METADATA": metadata or "", "WHEEL": WHEEL}
    described["entry_points.txt"] = installed.read_text("entry_points.txt") or ""
    files = [*package_files()]
    files += [(f"{base}.dist-info/{name}", text.encode()) for name, text in described.items()]
    record = f"{base}.dist-info/RECORD"
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*files, (record, _record(files, record))]:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return f"{base}-py3-none-any.whl", content.getvalue()


def _record(files: Iterable[tuple[str, bytes]], own: str) -> bytes:
    lines = []
    for name, data in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(data)}")
    return "\n".join([*lines, f"{own},,\n"]).encode()


def requirements(extra: str) -> list[str]:
    """Return what the package needs, and what an extra of it needs; never the package itself.

    Raises:
        ValueError: The package is not installed.
    """
    found: dict[str, None] = {}
    waiting, seen = ["", extra], set()
    while waiting:
        wanted = waiting.pop(0)
        seen.add(wanted)
        for line in _installed().requires or ():
            match = REQUIREMENT.fullmatch(line)
            if match is None:
                raise ValueError(f"The requirement {line!r} can't be read.")
            if (match[2] or "") != wanted:
                continue
            if OWN_NAME.match(match[1]):  # an extra that consists of others
                extras = match[1].partition("[")[2].rstrip("] ").split(",")
                waiting += [one.strip() for one in extras if one.strip() not in seen]
            else:
                found[match[1]] = None
    return list(found)


def _installed() -> Distribution:
    try:
        return distribution(NAME)
    except PackageNotFoundError as error:
        raise ValueError(
            "cifar-lab is not installed, so that its requirements are not known. In a checkout: "
            "pip install -e '.[grading]'"
        ) from error
