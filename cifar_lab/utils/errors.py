"""Errors written for the person who reads them: what was wrong, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DatasetUnavailableError(RuntimeError):
    """The files of a dataset are not there and could not be had."""


class CorruptedDataError(RuntimeError):
    """A file of a dataset is there, but it is not the official one."""


class LeakedTestImagesError(ValueError):
    """Test images were about to be used for something other than the final evaluation."""


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""


# What a user can mend: commands show it as one message, without a traceback.
USER_ERRORS = (
    ValueError,
    TypeError,
    OSError,
    ImportError,
    CorruptedDataError,
    DatasetUnavailableError,
    TrainingDivergedError,
)


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not in a registry; it offers the nearest names first."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return ValueError(f"Unknown {kind} {name!r}. {hint}Known: {', '.join(known)}.")
