"""Files of tensors and plain values, which load without running code from them."""

from __future__ import annotations

import codecs
import io
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cifar_lab.utils.files import write_atomically


def _named(build: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the function under another full name: all that PyTorch before 2.6 goes by."""

    def named(*arguments: Any) -> Any:
        return build(*arguments)

    named.__module__, _, named.__name__ = name.rpartition(".")
    named.__qualname__ = named.__name__
    return named


_BUILDERS = {"scalar": np.float64().__reduce__()[0], "_reconstruct": np.zeros(0).__reduce__()[0]}
# Types of numpy's numbers that a file may hold in addition to weights, such as an accuracy.
NUMPY_NUMBERS: list[Any] = [
    np.ndarray,
    np.dtype,
    codecs.encode,  # of an array's bytes
    *{type(np.dtype(code)) for code in "?bhilqBHILQefd"},
    *(
        _named(build, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, build in _BUILDERS.items()
    ),
]


def to_bytes(content: Any) -> bytes:
    """Return `torch.save`'s bytes of tensors and plain values, after a check that they load again.

    Raises:
        ValueError: The content holds something else, which the message names.
    """
    file = _serialised(content)
    _check_readable(file)
    return file.getvalue()


def write_checked(
    path: str | Path, content: Any, *, then: Callable[[], None] = lambda: None
) -> None:
    """Write a temporary file, check that it loads, call `then`, and rename the file to `path`."""

    def check(temporary: Path) -> None:
        _check_readable(temporary)
        then()

    # In memory first: torch.save's own error for a full disk does not name the disk.
    file = _serialised(content)
    write_atomically(path, lambda target: target.write(file.getbuffer()), check=check)


def _serialised(content: Any) -> io.BytesIO:
    file = io.BytesIO()
    try:
        torch.save(content, file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # a lambda, a lock, ...
        raise _unreadable(str(error)) from error
    file.seek(0)
    return file


def _check_readable(file: Path | io.BytesIO) -> None:
    try:
        torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        kinds = re.findall(r"GLOBAL ([\w.]*\w)", str(error))
        raise _unreadable(f"it holds a {kinds[0]}" if kinds else str(error)) from error


def _unreadable(reason: str) -> ValueError:
    return ValueError(
        f"This can't be saved so that it loads again: {reason}. Expected tensors, numbers, texts, "
        "and lists and dicts of them. Check the model's state_dict for other objects "
        "(get_extra_state)."
    )


def load_plain(path: str | Path, message: str) -> Any:
    """Load tensors and plain values from a file, or raise a ValueError with the message."""
    try:
        with allowed(NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        raise ValueError(message) from error


@contextmanager
def allowed(types: Sequence[Any]) -> Iterator[None]:
    """Let `torch.load` read further types for the block: `safe_globals`, which PyTorch 2.4 lacks.

    Args:
        types: Types and functions; a file names them by `__module__` and `__qualname__`.
    """
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals([*types])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
