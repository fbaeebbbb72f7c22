"""A failure of a cell, described so that it can be judged: by whom it was raised, and why."""

from __future__ import annotations

import errno
import socket
import subprocess
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOURCE_LINES, ERROR_CHARACTERS = 12, 2_000
MOST_CAUSES, CAUSE_CHARACTERS, NAME_CHARACTERS = 6, 300, 100
LIBRARY_FOLDERS = {"site-packages", "dist-packages"}
FROZEN = "<frozen "  # a module of Python's own that has no file
PYTHON = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")})
OUT_OF_REACH = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ECONNREFUSED)


class OutOfTime(BaseException):  # noqa: N818 (it shall pass `except Exception`, as an interrupt does)
    """Ends a cell in which the time that all cells have together is used up."""


def describe(error: BaseException, source: str, place: int, cells: int) -> dict[str, Any]:
    """Return what failed in which cell, as plain data.

    Args:
        error: Exception that the cell raised.
        source: Text of the cell.
        place: Number of the cell among those with code.
        cells: Number of those cells.
    """
    line = _failing_line(source, error)
    chain = list(_chain(error))
    return {
        "cell": place,
        "cells": cells,
        "line": line,
        "kind": clean(type(error).__name__)[:NAME_CHARACTERS],
        "text": _text_of(error)[:ERROR_CHARACTERS],
        "source": clean(_lines_around(source.splitlines(), line))[: 2 * ERROR_CHARACTERS],
        "in_library": LIBRARY_FOLDERS.intersection(Path(_raised_in(error)).parts) != set(),
        "in_python": _is_of_python(_raised_in(error)),
        "causes": [
            f"{clean(type(one).__name__)}: {_text_of(one)}"[:CAUSE_CHARACTERS] for one in chain[1:]
        ],
        "network": any(map(_is_of_network, chain)),
        "command": any(isinstance(one, subprocess.CalledProcessError) for one in chain),
        "program": isinstance(error, FileNotFoundError)
        and Path(_raised_in(error)).name == "subprocess.py",
        "environment": isinstance(error, KeyError)
        and Path(_raised_in(error)).name in ("os.py", f"{FROZEN}os>"),
    }


def clean(text: str) -> str:
    """Return text that UTF-8 can hold: a half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _text_of(error: BaseException) -> str:
    try:
        return clean(str(error))
    except Exception:  # of a class of the notebook's own
        return "(its text can't be had)"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it came from."""
    seen: list[int] = []
    one: BaseException | None = error
    while one is not None and len(seen) < MOST_CAUSES and id(one) not in seen:
        seen.append(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _is_of_network(error: BaseException) -> bool:
    """Return whether Python's own sockets, or a library's, could not reach another machine."""
    if isinstance(error, socket.gaierror):
        return True
    is_unreachable = isinstance(error, OSError) and error.errno in OUT_OF_REACH
    place = _raised_in(error)
    is_own = not (_is_of_python(place) or LIBRARY_FOLDERS.intersection(Path(place).parts))
    return is_unreachable and not is_own


def _raised_in(error: BaseException) -> str:
    """Return the file whose code raised an exception."""
    places = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    places = [place for place in places if not place.startswith("<frozen importlib")]
    return places[-1] if places else ""


def _is_of_python(place: str) -> bool:
    return place.startswith((FROZEN, *PYTHON)) and LIBRARY_FOLDERS.isdisjoint(Path(place).parts)


def _failing_line(source: str, error: BaseException) -> int:
    """Return the number of the cell's line that failed, or else of its first."""
    for frame in traceback.extract_tb(error.__traceback__):
        if _is_cell(frame.filename) and frame.line and frame.line in source:
            return frame.lineno or 1
    return 1


def _is_cell(filename: str) -> bool:
    return filename.startswith("<ipython-input") or "ipykernel_" in filename


def _lines_around(lines: list[str], failed: int) -> str:
    """Return the lines around one, which is marked."""
    first = max(0, min(failed, len(lines)) - SOURCE_LINES // 2)
    shown = enumerate(lines[first : first + SOURCE_LINES], first + 1)
    return "\n".join(f"{'>' if number == failed else ' '} {line}" for number, line in shown)
