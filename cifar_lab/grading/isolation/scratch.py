"""The folders that a grading needs for as long as it runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_parent: ContextVar[Path | None] = ContextVar("parent", default=None)  # None: the usual one


def scratch_folder(prefix: str, parent: Path | None = None) -> Path:
    """Make a new folder, which its user removes, and return its path without links.

    Args:
        prefix: How its name begins.
        parent: The folder that it is made in; None for that of `scratch_below`.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent or _parent.get())).resolve()


@contextmanager
def scratch_below(parent: Path | None) -> Iterator[None]:
    """Within the block, make this thread's new folders in another one; None for the usual one.

    Threads that are started in the block use the usual one.
    """
    token = _parent.set(parent)
    try:
        yield
    finally:
        _parent.reset(token)
