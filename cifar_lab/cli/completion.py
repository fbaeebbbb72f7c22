"""Completion of commands in the shell, by argcomplete where it is installed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ASKED = "_ARGCOMPLETE"  # the shell sets it where Tab was pressed


def complete_if_asked(parser: argparse.ArgumentParser) -> None:
    """Print what fits the words so far, and end, if the shell asks; nothing is imported if not."""
    if ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        sys.exit(1)
    argcomplete.autocomplete(parser)


def offer(argument: argparse.Action, names: Iterable[str], *, folders: bool = False) -> None:
    """Let the shell complete an argument by these names, and by folders if wanted."""
    names = list(names)

    def fitting(prefix: str, **_: Any) -> list[str]:
        found = [f"{path}/" for path in Path().glob(f"{prefix}*") if path.is_dir()]
        return [*names, *(found if folders else [])]

    argument.completer = fitting  # type: ignore[attr-defined]
