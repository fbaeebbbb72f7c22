"""Files that are whole or not there at all, whenever the process ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_atomically(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Whoever reads `path` finds the old content or the new, never a part, whenever the process ends.

    Raises:
        OSError: the folder can't be written; what was at `path` is still there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's is for the owner alone
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file so that `target` is the old content or the whole copy."""
    with source.open("rb") as content:
        write_atomically(target, lambda file: shutil.copyfileobj(content, file))


def write_text(path: str | Path, text: str) -> None:
    """Write a text atomically, in UTF-8; what that can't hold becomes a question mark."""
    content = text.encode("utf-8", errors="replace")
    write_atomically(path, lambda file: file.write(content))
