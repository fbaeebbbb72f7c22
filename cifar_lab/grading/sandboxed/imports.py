"""Changes to modules that take place whenever they are imported, from anywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Change = Callable[[ModuleType], None]


def when_imported(changes: dict[str, Change]) -> None:
    """Change modules as soon as they have been executed; those that are there already, at once.

    Args:
        changes: Full name of each module, and what is called with it.
    """
    sys.meta_path.insert(0, _Watcher(changes))
    for name, change in changes.items():
        if name in sys.modules:
            change(sys.modules[name])


class _Watcher(MetaPathFinder):
    """A finder that has others find a module, and wraps its execution."""

    def __init__(self, changes: dict[str, Change]) -> None:
        self.changes = changes

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.changes:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._wrap(spec, self.changes[fullname])
                return spec
        return None

    def _wrap(self, spec: ModuleSpec, change: Change) -> None:
        loader: Any = spec.loader
        execute = loader.exec_module

        def then_change(module: ModuleType) -> None:
            execute(module)
            change(module)

        loader.exec_module = then_change
