"""A notebook's own modules, which may have the names of Python's or a library's modules."""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

REPLACED = {"cifar_lab"}  # has the fake images: a copy of the package would look for the real ones


def prefer(folder: Path) -> None:
    """Have the notebook and the modules in a folder import those; libraries get what they mean.

    A file called `profile.py` or `random.py` is meant where the notebook imports that name, and
    Python's module where a library does, also one that is imported later.

    Args:
        folder: Folder of the notebook and its modules.
    """
    names = {path.stem for path in folder.iterdir() if _is_module(path)} - REPLACED
    others = _take_out(names)
    sys.path.insert(0, str(folder))
    ambiguous = names & ({name.partition(".")[0] for name in others} | sys.stdlib_module_names)
    if not ambiguous:
        return
    find = builtins.__import__

    @functools.wraps(find)
    def find_meant(
        name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        if level or name.partition(".")[0] not in ambiguous or _is_own(globals, folder):
            return find(name, globals, locals, fromlist, level)
        with _set_aside(folder, ambiguous, others):
            return find(name, globals, locals, fromlist, level)

    builtins.__import__ = find_meant


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").is_file()


def _is_own(importer: Mapping[str, Any] | None, folder: Path) -> bool:
    """Return whether code is the notebook's, or of a module in the folder."""
    if importer is None or importer.get("__name__") == "__main__":
        return True
    return str(importer.get("__file__")).startswith(f"{folder}/")


def _take_out(tops: set[str]) -> dict[str, ModuleType]:
    """Take modules with these names, and all inside of them, out of Python's list."""
    names = [name for name in sys.modules if name.partition(".")[0] in tops]
    return {name: sys.modules.pop(name) for name in names}


@contextmanager
def _set_aside(folder: Path, tops: set[str], others: dict[str, ModuleType]) -> Iterator[None]:
    """Put the other modules of these names in place of the folder's, for a time."""
    own = _take_out(tops)
    sys.modules.update(others)
    with suppress(ValueError):
        sys.path.remove(str(folder))
    try:
        yield
    finally:
        others.update(_take_out(tops))
        sys.modules.update(own)
        sys.path.insert(0, str(folder))
